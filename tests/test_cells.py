"""Bytes in columns of Parquet files, on a disk and on S3, against the values that were written."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_jobs import cells, storage
from smart_jobs.cells import Cell

HF = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
KINDS = {"binary": pa.binary(), "large": pa.large_binary(), "view": pa.binary_view(), "hf": HF}


def write(path, values, kind="binary", group=None, **options):
    """One column `image`; its file's stamp."""
    if kind == "hf":
        values = [value if isinstance(value, dict) else {"bytes": value, "path": None} for value in values]
    table = pa.table({"id": pa.array(range(len(values))), "image": pa.array(values, KINDS[kind])})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=group or max(1, len(values)), **options)
    storage.write_bytes(str(path), sink.getvalue().to_pybytes())
    return storage.info(str(path)).stamp


def refusal(cell, stamp=""):
    with pytest.raises(OSError, match=r".") as caught:
        cells.read(cell, stamp)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{cell.uri}: ")
    return str(caught.value)


@pytest.mark.parametrize(
    "cell",
    [
        Cell("/a/b.parquet", "image", 0),
        Cell("s3://b/c d/x#1/y.parquet", "image", 123),
        Cell("/a.parquet#d/e.parquet", "an image/of.it#2", 7),
    ],
)
def test_a_cell_is_known_by_its_name(cell):
    assert cells.named(cell.uri) == cell


@pytest.mark.parametrize(
    "uri", ["/a/b.png", "/a/b.parquet", "/a/b.parquet#image", "/a/b.parquet#image/x", "/a/b#image/3", "/a.parquet/1"]
)
def test_the_name_of_a_file_is_none_of_a_cell(uri):
    assert cells.named(uri) is None


rows = st.lists(st.binary(max_size=40), min_size=1, max_size=40)


@given(rows, st.sampled_from(sorted(KINDS)), st.integers(1, 12), st.lists(st.integers(0, 39), max_size=30))
@settings(max_examples=60, deadline=None)
def test_every_cell_in_any_order(tmp_path_factory, values, kind, group, order):
    path = tmp_path_factory.mktemp("t") / "t.parquet"
    stamp = write(path, values, kind, group)
    asked = [row for row in order if row < len(values)] + list(range(len(values)))
    assert [cells.read(Cell(str(path), "image", row), stamp) for row in asked] == [values[row] for row in asked]


@given(st.lists(st.one_of(st.none(), st.binary(max_size=9)), min_size=1, max_size=30), st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_what_each_row_names(tmp_path_factory, values, group):
    for kind in ("binary", "hf"):
        path = tmp_path_factory.mktemp("t") / "t.parquet"
        write(path, values, kind, group)
        wanted = [None if value is None else f"{path}#image/{row}" for row, value in enumerate(values)]
        assert list(cells.names(str(path), "image")) == wanted


def test_small_batches_of_a_large_column(tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "BATCH_BYTES", 3000)
    values = [bytes([i]) * 1000 for i in range(50)]
    stamp = write(tmp_path / "t.parquet", values, compression="none", use_dictionary=False)
    assert [cells.read(Cell(f"{tmp_path}/t.parquet", "image", i), stamp) for i in range(50)] == values


def test_a_struct_without_bytes_names_a_file_beside_the_table(tmp_path):
    (tmp_path / "d" / "i").mkdir(parents=True)
    (tmp_path / "d" / "i" / "a.png").write_bytes(b"a file")
    values = [{"bytes": b"own", "path": "i/a.png"}, {"bytes": None, "path": "i/a.png"}, {"bytes": None, "path": None},
              {"bytes": None, "path": f"{tmp_path}/d/i/a.png"}, {"bytes": None, "path": ""}]  # fmt: skip
    path = tmp_path / "d" / "t.parquet"
    stamp = write(path, values, "hf", 2)
    found = [cells.read(Cell(str(path), "image", row), stamp) for row in (0, 1, 3)]
    assert found == [b"own", b"a file", b"a file"]
    beside = f"{tmp_path}/d/i/a.png"
    assert list(cells.names(str(path), "image")) == [f"{path}#image/0", beside, None, beside, None]
    assert refusal(Cell(str(path), "image", 2), stamp).endswith("there is nothing in this row")


def test_what_cannot_be_read_is_said_in_one_line(tmp_path):
    stamp = write(tmp_path / "t.parquet", [b"a", None])
    file = f"{tmp_path}/t.parquet"
    assert refusal(Cell(file, "image", 2), stamp).endswith("it has 2 rows")
    assert refusal(Cell(file, "image", 1), stamp).endswith("there is nothing in this row")
    assert "no column 'photo' with bytes; there are id, image" in refusal(Cell(file, "photo", 0), stamp)
    assert "no column 'id' with bytes" in refusal(Cell(file, "id", 0), stamp)
    assert "x.parquet" in refusal(Cell(f"{tmp_path}/x.parquet", "image", 0))
    (tmp_path / "no.parquet").write_text("no such format")
    refusal(Cell(f"{tmp_path}/no.parquet", "image", 0))
    assert cells.read(Cell(file, "image", 0), stamp) == b"a"


def test_values_are_not_read_to_name_them_where_the_footer_says_that_all_are_there(tmp_path):
    path = tmp_path / "t.parquet"
    stamp = write(path, [b"x" * 1000] * 8, group=4, use_dictionary=False, compression="none")
    data = path.read_bytes()
    footer = 8 + int.from_bytes(data[-8:-4], "little")
    path.write_bytes(data[:4] + bytes(len(data) - 4 - footer) + data[-footer:])
    assert list(cells.names(str(path), "image")) == [f"{path}#image/{i}" for i in range(8)]
    refusal(Cell(str(path), "image", 0), stamp)


def test_without_statistics_values_are_read(tmp_path):
    write(tmp_path / "t.parquet", [b"a", None, b"c"], write_statistics=False)
    names = list(cells.names(f"{tmp_path}/t.parquet", "image"))
    assert names == [f"{tmp_path}/t.parquet#image/0", None, f"{tmp_path}/t.parquet#image/2"]


def test_a_replaced_file_is_opened_again(tmp_path):
    cell = Cell(f"{tmp_path}/t.parquet", "image", 1)
    for value in (b"first", b"second one"):
        assert cells.read(cell, write(tmp_path / "t.parquet", [b"", value])) == value


def test_a_listing_tells_the_mean_size_of_a_cell(tmp_path):
    write(tmp_path / "t.parquet", [bytes(range(250)) * 4] * 10, compression="none", use_dictionary=False)
    file = storage.info(f"{tmp_path}/t.parquet")
    found = cells.info(Cell(f"{tmp_path}/t.parquet", "image", 3), file)
    assert (found.stamp, found.kind) == (file.stamp, "file")
    assert 1000 <= found.size <= 1300
    assert cells.info(Cell(f"{tmp_path}/t.parquet", "photo", 3), file).size == 0
    gone = storage.info(f"{tmp_path}/x.parquet")
    assert cells.info(Cell(f"{tmp_path}/x.parquet", "image", 3), gone) == gone


def test_no_more_than_a_few_files_stay_in_memory(tmp_path):
    size = 4 * 2**20
    before = pa.total_allocated_bytes()
    for number in range(3 * cells.OPEN):
        stamp = write(tmp_path / f"{number}.parquet", [bytes([i]) * (size // 8) for i in range(8)], compression="none",
                      use_dictionary=False)  # fmt: skip
        assert cells.read(Cell(f"{tmp_path}/{number}.parquet", "image", 0), stamp)[:1] == b"\0"
    assert pa.total_allocated_bytes() - before < (cells.OPEN + 1) * 2 * size


def test_rows_in_their_order_read_a_file_of_a_store_once(s3, bucket):
    values = [bytes([i]) * 20_000 for i in range(100)]
    uri = f"{bucket}/d/t.parquet"
    stamp = write(uri, values, "hf", 50, compression="none", use_dictionary=False)
    with s3.failing():
        assert [cells.read(Cell(uri, "image", row), stamp) for row in range(100)] == values
        counts = s3.seen()["counts"]
    assert counts["GET"] <= 20
