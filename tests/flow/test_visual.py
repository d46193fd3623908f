"""Documents, images, videos and rows with pictures in one ingest, against decoding and encoding them alone."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pymupdf
import pytest
import tiny_vl
from comparing import rows, tables_of
from decoding import parts
from jobs import run
from PIL import Image
from video_making import video

from smart_jobs import schema
from smart_jobs.decode.opening import Wanted
from smart_jobs.encode import checkpoint, encoder
from smart_jobs.keys import Cut
from smart_jobs.records import Segment

pytestmark = pytest.mark.usefixtures("module_in_process")

SEEN = tiny_vl.sampling("qwen3_vl")


def picture(path, seed, size=(90, 70)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write_media(folder):
    """A folder with one of each, what cannot be used among them."""
    document = pymupdf.open()
    for text in ("first page", "", "third page"):
        document.new_page().insert_text((72, 72), text, fontsize=40)
    folder.mkdir()
    document.save(folder / "a.pdf")
    picture(folder / "b.png", 1)
    (folder / "c.mp4").write_bytes(video(range(40)))
    picture(folder / "0001.png", 2).rename(folder / "0001")
    (folder / "words.txt").write_text("a few words")
    (folder / "broken.png").write_bytes((folder / "b.png").read_bytes()[:200])
    (folder / "sound.mp3").write_bytes(b"ID3\x04" + bytes(200))
    return folder


def write_images(folder):
    """A Parquet file with the same picture twice, of which one is a caption's."""
    folder.mkdir()
    content = picture(folder / "b.png", 1).read_bytes()
    pq.write_table(pa.table({"text": ["a caption", ""], "image": [content, content]}), folder / "images.parquet")
    return folder / "images.parquet"


def write_table(folder):
    folder.mkdir()
    for name, seed in (("x", 5), ("y", 6)):
        picture(folder / "images" / f"{name}.png", seed)
    lines = [
        {"_id": name, "title": name, "text": f"about {name}", "path": f"images/{name}.png"}
        for name in ("x", "gone", "y")
    ]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


@pytest.fixture(scope="module")
def conf(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conf")
    config = tiny_vl.encoder(tiny_vl.checkpoint(folder / "model", "qwen3_vl"), "qwen3_vl")
    return tiny_vl.conf(folder, config), config


def ingest(source, lake, conf, *words):
    uris = ",".join(str(folder) for folder in source)
    keys = (f"source.uri=[{uris}]", "source.name=media", f"lake={lake}", f"conf={conf[0]}", "encoder=tiny-qwen3_vl")
    return run("ingest", *keys, *words)


def pooled_of(lake):
    """Rows of pooled by the end of their URI and their ordinal."""
    found = rows(tables_of(lake), schema.POOLED)
    return {(row["uri"].rpartition("/")[2], row["ordinal"]): row for row in found}


def alone(path, media, config, text=""):
    """The pooled vectors of a file's parts, decoded and encoded in this process."""
    spec, folder = checkpoint.resolve(config, Cut())
    model = encoder.load(spec, folder, 1, 512)
    found = list(parts(path.read_bytes(), Wanted(str(path), media, SEEN)))
    segments = [Segment(1, "", "", "", "", media, 0, 1, part.page, "", text or part.text, "document", "", {},
                        part.start, part.end, part.visuals) for part in found]  # fmt: skip
    return found, [result.pooled for result in model.encode(segments)]


def test_every_medium_in_one_ingest(tmp_path, conf):
    source, table, lake = write_media(tmp_path / "in"), write_table(tmp_path / "table"), tmp_path / "lake"
    everything = (source, table, write_images(tmp_path / "images"))
    first = ingest(everything, lake, conf, "unit_tokens=40", "source.columns.image=image")
    assert first["failed_by_reason"] == {"damaged": 2, "read_error": 1}
    found = pooled_of(lake)
    wanted = {
        ("a.pdf", 0): ("document", 1), ("a.pdf", 1): ("document", 2), ("a.pdf", 2): ("document", 3),
        ("b.png", 0): ("image", None), ("c.mp4", 0): ("video", None), ("0001", 0): ("image", None),
        ("words.txt", 0): ("text", None), ("corpus.jsonl#x", 0): ("row", None), ("corpus.jsonl#y", 0): ("row", None),
        ("images.parquet#0", 0): ("row", None), ("images.parquet#1", 0): ("row", None),
    }  # fmt: skip
    assert {key: (row["media"], row["page"]) for key, row in found.items()} == wanted
    for path, media in ((source / "a.pdf", "document"), (source / "b.png", "image"), (source / "c.mp4", "video")):
        decoded, vectors = alone(path, media, conf[1])
        for i, (part, vector) in enumerate(zip(decoded, vectors, strict=True)):
            row = found[path.name, i]
            assert (row["start"], row["end"]) == (part.start, part.end)
            np.testing.assert_allclose(row["pooled"], vector, atol=1e-5)
    _, [vector] = alone(table / "images" / "x.png", "image", conf[1], "x about x")
    np.testing.assert_allclose(found["corpus.jsonl#x", 0]["pooled"], vector, atol=1e-5)
    _, [vector] = alone(source / "b.png", "image", conf[1], "a caption")
    np.testing.assert_allclose(found["images.parquet#0", 0]["pooled"], vector, atol=1e-5)
    np.testing.assert_allclose(found["images.parquet#1", 0]["pooled"], found["b.png", 0]["pooled"], atol=1e-5)
    again = ingest(everything, lake, conf, "source.columns.image=image")
    assert (again["encoded"], again["skipped"]) == (0, again["assets"] - 1)  # the missing image is looked for again


@pytest.mark.slow
def test_a_new_name_is_copied_and_a_new_picture_is_encoded(tmp_path, conf):
    source, table, lake = write_media(tmp_path / "in"), write_table(tmp_path / "table"), tmp_path / "lake"
    ingest((source, table), lake, conf)
    before = pooled_of(lake)
    for name in ("a.pdf", "b.png", "c.mp4"):
        shutil.copy(source / name, source / f"new-{name}")
    picture(table / "images" / "x.png", 7)
    picture(table / "images" / "gone.png", 8)
    after = ingest((source, table), lake, conf)
    found = pooled_of(lake)
    assert (after["reused"], after["encoded"]) == (5, 2)
    for (name, ordinal), row in before.items():
        if name in ("a.pdf", "b.png", "c.mp4"):
            assert found[f"new-{name}", ordinal]["pooled"] == row["pooled"]
    assert found["corpus.jsonl#x", 0]["pooled"] != before["corpus.jsonl#x", 0]["pooled"]
    assert found["corpus.jsonl#y", 0] == before["corpus.jsonl#y", 0]
    assert ("corpus.jsonl#gone", 0) in found
