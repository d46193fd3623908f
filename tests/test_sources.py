"""Sources against what was written to disk, to memory:// and to tables."""

import json
import os
import uuid

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from pyarrow import fs as pafs

from smart_jobs import cells, sources, storage
from smart_jobs.keys import Columns, Source
from smart_jobs.records import UsageError, text_digest

ROWS = [
    {"id": "a", "text": "first text", "title": "One", "tenant": "x", "year": 2020},
    {"id": "b", "text": "second text", "title": None, "tenant": None, "year": 2021},
]
NAMED = Columns(title="title", meta=("tenant", "year"))


def tree(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"content of {path}")
    return root


def assets(*uris, **more):
    return list(sources.assets(Source(name="s", uri=tuple(map(str, uris)), **more)))


def relative(found, root):
    return [asset.uri.removeprefix(f"{root}/") for asset in found]


def refusal(*uris, **more):
    with pytest.raises(UsageError) as caught:
        assets(*uris, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def memory():
    """A folder in fsspec's memory:// that is gone after the test."""
    root = f"memory://{uuid.uuid4().hex}"
    yield root
    fs, path = fsspec.core.url_to_fs(root)
    if fs.exists(path):
        fs.rm(path, recursive=True)


# Files


def test_a_file_by_its_path(tmp_path):
    tree(tmp_path, "a.pdf")
    os.utime(tmp_path / "a.pdf", ns=(5, 1_700_000_000_123_456_789))
    [asset] = assets(tmp_path / "a.pdf")
    assert (asset.uri, asset.source, asset.media, asset.title) == (f"{tmp_path}/a.pdf", "s", "document", "a.pdf")
    assert (asset.size, asset.stamp) == (16, "16:1700000000123456789")


def test_a_folder_is_walked_in_the_order_of_paths_without_hidden_files(tmp_path):
    tree(tmp_path, "z.txt", "b/c.md", "b/a.pdf", "a.html", ".git/x.txt", ".hidden.txt", "b/.cache/y/z.txt", "B/q.txt")
    found = assets(tmp_path)
    assert relative(found, tmp_path) == ["B/q.txt", "a.html", "b/a.pdf", "b/c.md", "z.txt"]
    assert [asset.media for asset in found] == ["text", "document", "document", "text", "text"]


def test_images_and_videos_go_by_their_suffix(tmp_path):
    tree(tmp_path, "a.JPG", "b.webm", "c.mp3", "d", "e.svg")
    assert [asset.media for asset in assets(tmp_path)] == ["image", "video", "video", "document", "document"]


def test_a_folder_whose_own_path_is_hidden_is_walked(tmp_path):
    tree(tmp_path / ".data", "a.txt")
    assert relative(assets(tmp_path / ".data"), tmp_path) == [".data/a.txt"]


def test_the_order_does_not_depend_on_the_listing(tmp_path, monkeypatch):
    tree(tmp_path, *(f"{name}/{i}.txt" for name in "cab" for i in range(5)))
    wanted = relative(assets(tmp_path), tmp_path)
    assert wanted == sorted(wanted)
    listed = pafs.LocalFileSystem.get_file_info

    class Backwards(pafs.LocalFileSystem):
        def get_file_info(self, what):
            found = listed(self, what)
            return found[::-1] if isinstance(found, list) else found

    monkeypatch.setattr(pafs, "LocalFileSystem", Backwards)
    assert relative(assets(tmp_path), tmp_path) == wanted


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("*.txt", ["a.txt", "ba.txt"]),
        ("d/*", ["d/a.txt", "d/b.pdf"]),
        ("*/a.txt", ["d/a.txt"]),
        ("**/a.txt", ["a.txt", "d/a.txt", "d/e/a.txt"]),
        ("**", ["a.txt", "ba.txt", "d/a.txt", "d/b.pdf", "d/e/a.txt", "d/e/c.txt"]),
        ("d/**/*.txt", ["d/a.txt", "d/e/a.txt", "d/e/c.txt"]),
        ("**/e/*.txt", ["d/e/a.txt", "d/e/c.txt"]),
        ("**/d/*.txt", ["d/a.txt"]),
        ("?.txt", ["a.txt"]),
        ("[b-z]*.txt", ["ba.txt"]),
        (".h/*", [".h/a.txt"]),
        ("**/.[a-z].txt", ["d/.x.txt"]),
    ],
)
def test_globs_match_as_in_a_shell(tmp_path, pattern, wanted):
    tree(tmp_path, "a.txt", "ba.txt", "d/a.txt", "d/b.pdf", "d/e/a.txt", "d/e/c.txt", ".h/a.txt", "d/.x.txt")
    assert relative(assets(tmp_path / pattern), tmp_path) == wanted


def test_a_name_with_marks_that_is_there_is_no_glob(tmp_path):
    tree(tmp_path, "a[1].txt", "a1.txt", "d [x]/b.txt")
    assert relative(assets(tmp_path / "a[1].txt", tmp_path / "d [x]"), tmp_path) == ["a[1].txt", "d [x]/b.txt"]


def test_the_same_asset_twice_comes_once(tmp_path, monkeypatch):
    tree(tmp_path, "a.txt", "b.txt")
    monkeypatch.chdir(tmp_path)
    found = assets(
        tmp_path / "b.txt", tmp_path, "./a.txt", f"{tmp_path}/../{tmp_path.name}/*.txt", f"file://{tmp_path}/"
    )
    assert relative(found, tmp_path) == ["b.txt", "a.txt"]


def test_a_stamp_changes_with_size_and_with_mtime(tmp_path):
    file = tree(tmp_path, "a.txt") / "a.txt"
    stamps = []
    for content, time in (("one", 1), ("one", 1), ("three", 1), ("three", 2)):
        file.write_text(content)
        os.utime(file, ns=(0, time))
        stamps.append(assets(tmp_path)[0].stamp)
    assert stamps == ["3:1", "3:1", "5:1", "5:2"]


def test_an_empty_folder_has_no_assets(tmp_path):
    assert assets(tmp_path) == []


@pytest.mark.parametrize("name", ["nothing.txt", "nothing/", "*.xyz", "**/*.xyz", "nothing/*", "nothing.jsonl"])
def test_nothing_there_is_said_in_one_line(tmp_path, name):
    tree(tmp_path, "a.txt")
    said = refusal(f"{tmp_path}/{name}")
    assert said.startswith(f"source {f'{tmp_path}/{name}'.rstrip('/')}: nothing there")


def test_a_scheme_that_nothing_serves_is_said_in_one_line():
    said = refusal("nowhere://bucket/a")
    assert said.startswith("nowhere://bucket/a")
    assert "Protocol not known: nowhere" in said


def test_a_store_by_the_same_code(memory):
    fs, path = fsspec.core.url_to_fs(memory)
    for name in ("b.txt", "a/c.pdf", "a/d.txt", ".hidden"):
        fs.pipe(f"{path}/{name}", name.encode())
    assert relative(assets(memory), memory) == ["a/c.pdf", "a/d.txt", "b.txt"]
    assert relative(assets(f"{memory}/**/*.txt"), memory) == ["a/d.txt", "b.txt"]
    assert relative(assets(f"{memory}/a/c.pdf", f"{memory}/*"), memory) == ["a/c.pdf", "b.txt"]
    assert [asset.size for asset in assets(f"{memory}/a")] == [7, 7]
    assert refusal(f"{memory}/x").startswith(f"source {memory}/x: nothing there")


def test_tables_in_a_store(memory):
    fs, path = fsspec.core.url_to_fs(memory)
    fs.pipe(f"{path}/a.jsonl", b"".join(json.dumps(row).encode() + b"\n" for row in ROWS))
    with fs.open(f"{path}/a.parquet", "wb") as handle:
        pq.write_table(pa.Table.from_pylist(ROWS), handle)
    lines, rows = (assets(f"{memory}/a.{kind}", columns=NAMED) for kind in ("jsonl", "parquet"))
    assert [asset.uri for asset in lines] == [f"{memory}/a.jsonl#a", f"{memory}/a.jsonl#b"]
    assert [(a.title, a.text, a.meta, a.stamp) for a in lines] == [(a.title, a.text, a.meta, a.stamp) for a in rows]


# Tables


def write_rows(folder, kind, rows):
    """One table of `rows`; its path."""
    path = folder / f"table.{kind}"
    if kind == "jsonl":
        path.write_text("\n\n".join(map(json.dumps, rows)) + "\n")
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        write_deltalake(path, pa.Table.from_pylist(rows), mode="overwrite", schema_mode="overwrite")
    return path


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "delta"])
def test_rows_of_a_table(tmp_path, kind):
    path = write_rows(tmp_path, kind, ROWS)
    found = sorted(assets(path, columns=NAMED), key=lambda asset: asset.uri)
    assert [(a.uri, a.media, a.title, a.text, dict(a.meta)) for a in found] == [
        (f"{path}#a", "row", "One", "first text", {"tenant": "x", "year": "2020"}),
        (f"{path}#b", "row", "", "second text", {"year": "2021"}),
    ]
    assert found[0].size == len("first text")


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "delta"])
def test_other_column_names(tmp_path, kind):
    path = write_rows(tmp_path, kind, [{"key": 7, "body": "b", "head": "h"}])
    [asset] = assets(path, columns=Columns(id="key", text="body", title="head"))
    assert (asset.uri, asset.title, asset.text) == (f"{path}#7", "h", "b")


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "delta"])
def test_a_table_without_ids_counts_its_rows(tmp_path, kind):
    path = write_rows(tmp_path, kind, [{"text": text} for text in "abc"])
    assert [(a.uri, a.text) for a in assets(path)] == [(f"{path}#{i}", "abc"[i]) for i in range(3)]


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "delta"])
def test_two_different_rows_with_one_id_are_refused_rather_than_dropped(tmp_path, kind):
    path = write_rows(tmp_path, kind, [{"id": "a", "text": "one"}, {"id": "a", "text": "two"}])
    assert refusal(path) == f"source {path}: two rows that differ are both {path}#a; columns.id must be unique"
    path = write_rows(tmp_path, kind, [{"id": "a", "text": "one"}, {"id": "a", "text": "one"}])
    assert len(assets(path)) == 1


def test_a_rows_stamp_changes_with_what_it_says_and_with_nothing_else(tmp_path):
    def stamp(**changed):
        return assets(write_rows(tmp_path, "jsonl", [{**ROWS[0], **changed}]), columns=NAMED)[0].stamp

    assert stamp() == stamp(id="z") == stamp(other=3)
    assert stamp() == text_digest("One", "first text", '{"tenant": "x", "year": "2020"}')
    assert len({stamp(), stamp(text="other"), stamp(title="Two"), stamp(tenant="y"), stamp(tenant=None)}) == 5


# Tables that name files


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "delta"])
def test_the_files_of_a_row_begin_in_the_folder_of_the_table(tmp_path, kind):
    elsewhere = tree(tmp_path / "elsewhere", "c.png") / "c.png"
    rows = [
        {"id": "a", "text": "one", "still": "i/a.png", "film": None},
        {"id": "b", "text": "two", "still": "../b.png", "film": "i/b.mp4"},
        {"id": "c", "text": "three", "still": str(elsewhere), "film": ""},
        {"id": "d", "text": "four", "still": "nowhere://bucket/d.png", "film": ""},
    ]
    folder = tree(tmp_path / "t", "i/a.png", "i/b.mp4", "../b.png")
    path = write_rows(folder, kind, rows)
    if kind == "delta":
        tree(path, "i/a.png", "i/b.mp4", "../b.png")
    own = path if kind == "delta" else folder
    found = sorted(assets(path, columns=Columns(image="still", video="film")), key=lambda asset: asset.uri)
    assert [[(file.media, file.uri) for file in asset.files] for asset in found] == [
        [("image", f"{own}/i/a.png")],
        [("image", f"{own.parent}/b.png"), ("video", f"{own}/i/b.mp4")],
        [("image", str(elsewhere))],
        [("image", "nowhere://bucket/d.png")],
    ]
    assert [[file.stamp for file in asset.files] for asset in found[:3]] == [
        [storage.info(file.uri).stamp for file in asset.files] for asset in found[:3]
    ]
    assert [asset.size for asset in found[:2]] == [
        3 + len("content of i/a.png"),
        3 + len("content of ../b.png") + len("content of i/b.mp4"),
    ]


def test_a_rows_stamp_changes_with_its_files_and_what_it_says_does_not(tmp_path):
    def listed(when, **row):
        tree(tmp_path, "a.png", "b.png")
        for name in ("a.png", "b.png"):
            os.utime(tmp_path / name, ns=(0, when))
        write_rows(tmp_path, "jsonl", [{"id": "x", "text": "words", **row}])
        [asset] = assets(tmp_path / "table.jsonl", columns=Columns(image="image"))
        return asset

    plain, first, again, later, other = (
        listed(1),
        listed(1, image="a.png"),
        listed(1, image="a.png"),
        listed(2, image="a.png"),
        listed(1, image="b.png"),
    )
    assert first == again
    assert len({asset.stamp for asset in (plain, first, later, other)}) == 4
    assert {sources.said_by(asset) for asset in (plain, first, later, other)} == {plain.stamp}


def test_a_row_whose_file_is_missing_is_listed_and_seen_again_when_it_comes(tmp_path):
    write_rows(tmp_path, "jsonl", [{"id": "x", "text": "words", "image": "a.png"}])
    [before] = assets(tmp_path / "table.jsonl", columns=Columns(image="image"))
    tree(tmp_path, "a.png")
    [after] = assets(tmp_path / "table.jsonl", columns=Columns(image="image"))
    assert (before.files[0].stamp, before.size) == ("", 5)
    assert before.stamp != after.stamp


def test_an_image_needs_no_words_and_a_row_needs_one_of_them(tmp_path):
    tree(tmp_path, "a.png")
    for kind in ("jsonl", "parquet"):
        [asset] = assets(write_rows(tmp_path, kind, [{"image": "a.png"}]), columns=Columns(image="image"))
        assert (asset.text, len(asset.files)) == ("", 1)
    said = refusal(write_rows(tmp_path, "jsonl", [{"id": "a"}]), columns=Columns(image="image"))
    assert said.endswith("""line 1: expected an object with 'text', found b'{"id": "a"}\\n'""")


# Tables with images in a column


HF = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write_images(folder, kind, images, column=None, **more):
    """A table with a row of text for each image in a column of bytes or of Hugging Face's structs."""
    values = images if column is None else [None if i is None else {"bytes": i, "path": "x.png"} for i in images]
    rows = {"text": [f"t{i}" for i in range(len(images))], "image": pa.array(values, column or pa.binary())}
    table = pa.table(rows | more)
    path = folder / f"images.{kind}"
    if kind == "delta":
        write_deltalake(path, table, partition_by=list(more) or None)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, row_group_size=2)
    return path


def contents(asset):
    return tuple(cells.read(cells.named(file.uri), file.stamp) for file in asset.files)


@pytest.mark.parametrize("kind", ["parquet", "delta"])
@pytest.mark.parametrize("column", [None, HF])
def test_images_in_a_column_are_the_files_of_its_rows(tmp_path, kind, column):
    images = [b"zero", b"one", b"two", b"three", b"four"]
    path = write_images(tmp_path, kind, images, column)
    found = sorted(assets(path, columns=Columns(image="image")), key=lambda asset: asset.text)
    assert [asset.uri for asset in found] == [f"{path}#{i}" for i in range(5)]
    assert [(asset.text, contents(asset)) for asset in found] == [(f"t{i}", (images[i],)) for i in range(5)]
    for asset in found:
        [file] = asset.files
        parquet, _, row = file.uri.partition("#")
        assert (file.media, row) == ("image", f"image/{asset.text[1:]}")
        assert file.stamp == storage.info(parquet).stamp
        assert len(asset.text) < asset.size < 1000


def test_images_in_several_files_of_one_table(tmp_path):
    first = write_images(tmp_path / "d", "parquet", [b"a0", b"a1", b"a2"]).rename(tmp_path / "d" / "a.parquet")
    second = write_images(tmp_path / "d", "parquet", [b"b0"]).rename(tmp_path / "d" / "b.parquet")
    for uri, more in ((tmp_path / "d", {"format": "parquet"}), (tmp_path / "d" / "*.parquet", {})):
        found = assets(uri, columns=Columns(image="image"), **more)
        assert [asset.files[0].uri for asset in found] == [f"{first}#image/{i}" for i in range(3)] + [
            f"{second}#image/0"
        ]
        assert [asset.uri for asset in found] == [f"{uri}#{i}" for i in range(4)]


def test_images_in_a_partitioned_delta_table(tmp_path):
    path = write_images(tmp_path, "delta", [b"0", b"1", b"2", b"3"], place=["a b", "c/d", "a b", "c/d"])
    found = assets(path, columns=Columns(image="image", meta=("place",)))
    assert sorted((asset.text, contents(asset), asset.meta["place"]) for asset in found) == [
        (f"t{i}", (str(i).encode(),), ("a b", "c/d")[i % 2]) for i in range(4)
    ]


def test_a_row_without_an_image_has_no_file_and_one_without_bytes_a_path(tmp_path):
    path = write_images(tmp_path, "parquet", [b"a", None, b"c"])
    assert [len(asset.files) for asset in assets(path, columns=Columns(image="image"))] == [1, 0, 1]
    values = [{"bytes": b"a", "path": "a.png"}, {"bytes": None, "path": "b.png"}, {"bytes": None, "path": None}, None]
    pq.write_table(pa.table({"text": list("abcd"), "image": pa.array(values, HF)}), path)
    tree(tmp_path, "b.png")
    found = assets(path, columns=Columns(image="image"))
    assert [[file.uri for file in asset.files] for asset in found] == [
        [f"{path}#image/0"], [f"{tmp_path}/b.png"], [], []
    ]  # fmt: skip
    assert found[1].files[0].stamp == storage.info(f"{tmp_path}/b.png").stamp


def test_videos_and_images_in_columns_beside_a_path(tmp_path):
    tree(tmp_path, "a.png")
    pq.write_table(pa.table({"text": ["t"], "film": [b"film"], "photo": ["a.png"]}), tmp_path / "t.parquet")
    [asset] = assets(tmp_path / "t.parquet", columns=Columns(image="photo", video="film"))
    assert [(file.media, file.uri) for file in asset.files] == [
        ("image", f"{tmp_path}/a.png"),
        ("video", f"{tmp_path}/t.parquet#film/0"),
    ]


def test_a_column_of_bytes_alone_is_enough(tmp_path):
    pq.write_table(pa.table({"image": [b"a", b"b"]}), tmp_path / "t.parquet")
    found = assets(tmp_path / "t.parquet", columns=Columns(image="image"))
    assert [(asset.uri, asset.text, len(asset.files)) for asset in found] == [
        (f"{tmp_path}/t.parquet#{i}", "", 1) for i in range(2)
    ]


def test_images_in_a_file_of_another_name_are_refused(tmp_path):
    path = write_images(tmp_path, "parquet", [b"a"]).rename(tmp_path / "t.pq")
    said = refusal(path, columns=Columns(image="image"), format="parquet")
    assert said == f"source {path}: {path}: images in a column are found in files named *.parquet; rename it"
    assert [asset.text for asset in assets(path, format="parquet")] == ["t0"]


def test_a_replaced_table_is_another_stamp_of_each_of_its_rows(tmp_path):
    def listed(image, when):
        path = write_images(tmp_path, "parquet", [image])
        os.utime(path, ns=(0, when))
        [asset] = assets(path, columns=Columns(image="image"))
        return asset

    first, again, later = listed(b"a", 1), listed(b"a", 1), listed(b"a", 2)
    assert (first, first.stamp == later.stamp) == (again, False)
    assert sources.said_by(first) == sources.said_by(later)


def test_images_in_columns_in_stores(memory, bucket):
    for root in (memory, bucket):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"text": ["a", "b"], "image": [b"0", b"1"]}), sink)
        storage.write_bytes(f"{root}/d/t.parquet", sink.getvalue().to_pybytes())
        found = assets(f"{root}/d/t.parquet", columns=Columns(image="image"))
        assert [asset.files[0].uri for asset in found] == [f"{root}/d/t.parquet#image/{i}" for i in range(2)]
        assert [contents(asset) for asset in found] == [(b"0",), (b"1",)]


def test_images_in_a_delta_table_in_a_store(bucket):
    where, options = storage.delta(f"{bucket}/t")
    write_deltalake(where, pa.table({"text": ["a", "b"], "image": [b"0", b"1"]}), storage_options=options)
    found = assets(f"{bucket}/t", columns=Columns(image="image"))
    assert [(asset.text, contents(asset)) for asset in found] == [("a", (b"0",)), ("b", (b"1",))]


# Many rows


def test_more_rows_than_are_asked_for_at_once(tmp_path):
    tree(tmp_path, "a.png", "b.png")
    count = 2 * sources.ROWS_AT_ONCE + 3
    rows = [{"id": str(i), "text": "t", "image": ("a.png", "b.png", "")[i % 3]} for i in range(count)]
    found = assets(write_rows(tmp_path, "jsonl", rows), columns=Columns(image="image"))
    assert [asset.uri.rpartition("#")[2] for asset in found] == [str(i) for i in range(count)]
    assert [[file.uri for file in asset.files] for asset in found] == [
        [f"{tmp_path}/{row['image']}"] if row["image"] else [] for row in rows
    ]


def test_files_on_a_store_beside_a_glob(memory):
    fs, path = fsspec.core.url_to_fs(memory)
    fs.pipe(f"{path}/t/1.jsonl", b'{"text": "a", "image": "../i/a.png"}')
    fs.pipe(f"{path}/i/a.png", b"pixels")
    [asset] = assets(f"{memory}/t/*.jsonl", columns=Columns(image="image"))
    [file] = asset.files
    assert (file.uri, file.stamp) == (f"{memory}/i/a.png", storage.info(f"{memory}/i/a.png").stamp)
    assert file.stamp.startswith("6:")


def test_files_on_s3_are_asked_for_their_stamps(bucket):
    for name in ("a.png", "b.png"):
        storage.write_bytes(f"{bucket}/i/{name}", name.encode())
    lines = [f'{{"text": "{name}", "image": "i/{name}"}}' for name in ("a.png", "b.png", "c.png")]
    storage.write_bytes(f"{bucket}/t.jsonl", "\n".join(lines).encode())
    found = assets(f"{bucket}/t.jsonl", columns=Columns(image="image"))
    assert [asset.files[0].stamp for asset in found] == [
        storage.info(f"{bucket}/i/{name}").stamp for name in ("a.png", "b.png", "c.png")
    ]
    assert [asset.files[0].stamp != "" for asset in found] == [True, True, False]


def test_what_a_beir_row_names_is_known_by_its_suffix(tmp_path):
    rows = [{"_id": name, "title": "", "text": "t", "path": name} for name in ("a.png", "a.mp4", "a.pdf", "a")]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert [[(file.media, file.uri) for file in asset.files] for asset in assets(tmp_path)] == [
        [("image", f"{tmp_path}/a.png")],
        [("video", f"{tmp_path}/a.mp4")],
        [],
        [],
    ]


def test_many_files_are_one_table(tmp_path):
    for name in "ba":
        write_rows(tmp_path, "jsonl", [{"text": f"{name}{i}"} for i in range(2)]).rename(tmp_path / f"{name}.jsonl")
        write_rows(tmp_path, "parquet", [{"text": f"{name}{i}"} for i in range(2)]).rename(tmp_path / f"{name}.parquet")
    for kind in ("jsonl", "parquet"):
        found = assets(tmp_path / f"*.{kind}")
        assert [(a.uri, a.text) for a in found] == [
            (f"{tmp_path}/*.{kind}#{i}", text) for i, text in enumerate(["a0", "a1", "b0", "b1"])
        ]


def test_sparks_marker_files_are_no_part_of_a_parquet_folder(tmp_path):
    write_rows(tmp_path, "parquet", ROWS)
    (tmp_path / "_SUCCESS").touch()
    assert [asset.text for asset in assets(tmp_path, format="parquet")] == ["first text", "second text"]


def test_a_beir_folder_is_its_corpus(tmp_path):
    rows = [{"_id": "d1", "title": "T", "text": "body", "path": "x.png"}, {"_id": "d2", "title": "", "text": "more"}]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "a query"}')
    found = assets(tmp_path)
    assert [(a.uri, a.title, a.text, dict(a.meta)) for a in found] == [
        (f"{tmp_path}/corpus.jsonl#d1", "T", "body", {"path": "x.png"}),
        (f"{tmp_path}/corpus.jsonl#d2", "", "more", {}),
    ]
    assert found == assets(tmp_path, format="beir")
    assert relative(assets(tmp_path, format="files"), tmp_path) == ["corpus.jsonl", "queries.jsonl"]


def test_half_a_surrogate_pair_costs_one_character_and_not_the_run(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a\\ud800b"}\n{"text": "c"}')
    found = assets(tmp_path / "a.jsonl")
    assert [asset.text for asset in found] == ["a?b", "c"]
    assert pa.array([asset.text for asset in found]).to_pylist() == ["a?b", "c"]


@pytest.mark.parametrize("line", ["{", '["a"]', '{"txt": "a"}', '"a"', "\\ufffd"])
def test_a_bad_line_is_named_by_file_and_number(tmp_path, line):
    (tmp_path / "a.jsonl").write_text(f'{{"text": "a"}}\n\n{line}\n')
    said = refusal(tmp_path / "a.jsonl")
    assert said.startswith(f"{tmp_path}/a.jsonl line 3: expected ")


@pytest.mark.parametrize("kind", ["parquet", "delta"])
@pytest.mark.parametrize(
    ("columns", "role", "name"),
    [
        (Columns(text="body"), "text", "body"),
        (Columns(title="head"), "title", "head"),
        (Columns(meta=("day",)), "meta day", "day"),
        (Columns(image="photo"), "image", "photo"),
        (Columns(video="film"), "video", "film"),
    ],
)
def test_a_missing_column_is_named_with_those_there_are(tmp_path, kind, columns, role, name):
    path = write_rows(tmp_path, kind, [{"id": "a", "text": "b"}])
    assert refusal(path, columns=columns) == f"source {path}: no column {name!r} for {role}; it has id, text"


def test_a_table_that_is_none_is_said_in_one_line(tmp_path):
    (tmp_path / "a.parquet").write_text("not Parquet")
    assert refusal(tmp_path / "a.parquet").startswith(f"source {tmp_path}/a.parquet: not a readable Parquet table")
    assert refusal(tmp_path, format="delta").startswith(f"source {tmp_path}: not a readable Delta table")
