"""What is read of a row's files: on a disk, in a store, in columns of Parquet files."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smart_jobs import storage
from smart_jobs.decode import reading
from smart_jobs.records import Asset, AssetError, Attached, content_version, text_digest


def row(*files):
    return Asset("t#1", "s", "said+files", "row", 1, text="a", files=files)


def attached(uri, media="image", of=None):
    return Attached(str(uri), media, storage.info(str(of or uri)).stamp)


def write_table(uri, values, column="image"):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({column: pa.array(values, pa.binary())}), sink, row_group_size=2)
    storage.write_bytes(str(uri), sink.getvalue().to_pybytes())


def failure(asset):
    with pytest.raises(AssetError) as caught:
        reading.read(asset, files=True)
    assert caught.value.step == "read"
    return caught.value.reason, caught.value.detail


@pytest.fixture(params=["disk", "s3"])
def folder(request, tmp_path):
    return str(tmp_path) if request.param == "disk" else request.getfixturevalue("bucket")


def test_many_files_in_their_order(folder):
    contents = [bytes([i]) * (i + 1) for i in range(40)]
    for i, content in enumerate(contents):
        storage.write_bytes(f"{folder}/{i}", content)
    found = reading.read(row(*(attached(f"{folder}/{i}", "frame") for i in range(40))), files=True)
    assert found.contents == tuple(contents)
    assert found.version == text_digest("said", *(p for c in contents for p in ("frame", content_version(c))))


def test_a_file_and_a_cell_with_the_same_bytes_are_one_content(folder):
    write_table(f"{folder}/t.parquet", [b"zero", b"one", None])
    storage.write_bytes(f"{folder}/one.png", b"one")
    cell = attached(f"{folder}/t.parquet#image/1", of=f"{folder}/t.parquet")
    found, other = (reading.read(row(file), files=True) for file in (cell, attached(f"{folder}/one.png")))
    assert found.contents == other.contents == (b"one",)
    assert found.version == other.version


def test_a_table_that_was_replaced_or_is_gone(folder):
    uri = f"{folder}/t.parquet"
    write_table(uri, [b"zero", b"one"])
    cell = attached(f"{uri}#image/1", of=uri)
    assert reading.read(row(cell), files=True).contents == (b"one",)
    write_table(uri, [b"zero"])
    reason, detail = failure(row(cell))
    assert (reason, detail.startswith(f"{uri}#image/1 was listed as {cell.stamp}, read as ")) == ("changed", True)
    storage.delete(uri)
    reason, detail = failure(row(cell))
    assert (reason, uri in detail) == ("read_error", True)
    assert failure(row(Attached(f"{uri}#image/1", "image", "")))[0] == "read_error"


def test_a_cell_with_nothing_in_it_is_an_error_that_names_it(folder):
    uri = f"{folder}/t.parquet"
    write_table(uri, [b"zero", None])
    for name, said in (("image/1", "there is nothing in this row"), ("image/2", "it has 2 rows"), ("x/0", "no column")):
        reason, detail = failure(row(attached(f"{uri}#{name}", of=uri)))
        assert reason == "read_error"
        assert detail.startswith(f"{uri}#{name}: {said}")


def test_the_first_file_that_is_missing_is_named(tmp_path):
    for name in "ac":
        (tmp_path / name).write_text(name)
    asset = row(*(attached(tmp_path / name) for name in "abcd"))
    assert failure(asset)[0] == "read_error"
    assert f"{tmp_path}/b" in failure(asset)[1]
