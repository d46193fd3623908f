"""Documents as page images, images and videos through one ingest with a tiny random Qwen3-VL; searched by media."""

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pymupdf
import pytest
import tiny_vl
import transformers
from comparing import rows, tables_of
from fixtures import FIXTURES, needs_fixtures
from jobs import run
from PIL import Image
from safetensors.numpy import save_file

from smart_jobs import cli, codec, config, masks, schema, settings
from smart_jobs.encode import adapter
from smart_jobs.lake import layout, table
from smart_jobs.lake.reader import StatesReader
from smart_jobs.sampling import page_size
from smart_jobs.search import hybrid

pytestmark = pytest.mark.ray
PROMPT = ("system\n", "Represent the user's input.", "\n", "user\n", "\n", "assistant\n")
"""What is neither special nor a page's own in Qwen3-VL-Embedding's prompt, as special tokens part it."""
OTHER_KINDS = {"Pillow__gbr.gbr", "Pillow__hopper.fits", "LICENSE"}
"""Files whose name says nothing that is read: they are looked into as documents."""


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> list[str]:
    """The tiny encoder as an encoder of conf/ names it."""
    folder = tmp_path_factory.mktemp("vl")
    made = tiny_vl.encoder(tiny_vl.checkpoint(folder / "tiny", "qwen3_vl"), "qwen3_vl")
    return [f"conf={tiny_vl.conf(folder / 'conf', made)}", f"encoder={made.name}"]


@pytest.fixture(scope="module")
def lake(tmp_path_factory, words, cluster) -> Path:
    """Everything good and hostile in one run."""
    uri = tmp_path_factory.mktemp("lake") / "lake"
    uris = ",".join(str(FIXTURES / name) for name in ("pdf/good", "image", "video"))
    run("ingest", f"source.uri=[{uris}]", f"lake={uri}", *words, "codec=float32")
    return uri


@needs_fixtures
def test_every_good_one_is_there_and_every_bad_one_has_its_row(lake):
    tables = tables_of(lake)
    pooled, failures = rows(tables, schema.POOLED), rows(tables, schema.FAILURES)
    assert max(Counter((row["uri"], row["ordinal"]) for row in pooled + failures).values()) == 1
    there, failed = {row["uri"] for row in pooled}, {row["uri"]: row for row in failures}
    for folder in ("pdf/good", "image/good", "video/good", "video/clips"):
        files = {str(path) for path in (FIXTURES / folder).iterdir() if path.name not in OTHER_KINDS}
        assert files <= there, sorted(files - there)
    files = [str(path) for name in ("image", "video") for path in (FIXTURES / name).rglob("*") if path.is_file()]
    assert not [uri for uri in files if (uri in there) == (uri in failed)]
    for folder in ("video/hostile/audio-only", "video/hostile/no-streams"):
        assert {failed[str(path)]["reason"] for path in (FIXTURES / folder).iterdir()} == {"unsupported"}
    assert not [row for row in failures if row["reason"] not in ("damaged", "unsupported", "empty", "too_large")]


@needs_fixtures
def test_pages_have_as_many_tokens_as_their_size_says(lake, words):
    encoder = config.load(settings.Search, "search", [*words, "lake=."]).encoder
    stored = {(row["uri"], row["page"]): row["n_tokens"] for row in rows(tables_of(lake), schema.POOLED)}
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder.model)
    template = sum(len(tokenizer(part, add_special_tokens=False).input_ids) for part in PROMPT)
    checked = 0
    for path in sorted((FIXTURES / "pdf" / "good").iterdir()):
        with pymupdf.open(path) as document:
            for number, page in enumerate(document, start=1):
                height, width = page_size(page.rect.width, page.rect.height, encoder.sampling)
                assert stored[str(path), number] == template + (height // 32) * (width // 32), (path.name, number)
                checked += 1
    assert checked == len([key for key in stored if key[1] is not None and "pdf/good" in key[0]])


@needs_fixtures
def test_what_the_tokens_are_is_stored_with_grids_and_times(lake):
    media = {row["segment_id"]: row for row in rows(tables_of(lake), schema.POOLED)}
    for row in rows(tables_of(lake), schema.HIDDEN_STATES):
        kinds, segment = masks.kinds(row["token_kinds"]), media[row["segment_id"]]
        visual = masks.VIDEO if segment["media"] == "video" else masks.IMAGE
        assert len(kinds) == row["n_tokens"] == segment["n_tokens"]
        assert (kinds == visual).sum() == math.prod(row["grids"])
        if segment["media"] == "video":
            times = row["frame_times"]
            assert times == sorted(times)
            assert segment["start"] <= times[0]
            assert times[-1] <= segment["end"] + 1e-6
            assert row["grids"][0] == math.ceil(len(times) / 2)
        else:
            assert row["frame_times"] is None


@needs_fixtures
@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("image", "image/good/Pillow__hopper.webp"),
        ("image", "image/good/Pillow__g4_orientation_4.tif"),
        ("video", "video/clips/asl_gestures_help.mkv"),
        ("video", "video/good/torchcodec__h265_video.mp4"),
    ],
)
def test_a_search_by_a_medium_finds_its_stored_copy_first(lake, words, key, name):
    hits = run("search", f"{key}={FIXTURES / name}", "exhaustive=true", "k=3", f"lake={lake}", *words)["hits"]
    assert hits[0]["uri"] == str(FIXTURES / name)
    assert hits[0]["score"] == pytest.approx(2, abs=1e-4)
    assert hits[1]["score"] < hits[0]["score"]


@pytest.fixture
def photos(tmp_path) -> Path:
    """Ten images of noise; the fifth is no image."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(10):
        random = np.random.default_rng(number)
        Image.fromarray(random.integers(0, 255, (96, 128, 3), np.uint8)).save(folder / f"{number}.png")
    (folder / "4.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"broken" * 50)
    return folder


def test_rows_with_an_image_and_a_caption_are_searched_by_either(tmp_path, photos, words, in_process):
    """A row whose image is missing, or broken, is a failure of its own; a question may bring an image along."""
    table = tmp_path / "photos.jsonl"
    table.write_text("".join(
        json.dumps({"id": str(number), "text": f"photo number {number}", "file": f"photos/{number}.png"}) + "\n"
        for number in range(11)
    ))  # fmt: skip
    lake = f"lake={tmp_path / 'lake'}"
    done = run("ingest", f"source={table}", "source.columns.image=file", lake, *words)
    assert (done["encoded"], done["failures"]) == (9, 2)
    failed = rows(tables_of(tmp_path / "lake"), schema.FAILURES)
    assert {row["uri"].rpartition("#")[2]: row["reason"] for row in failed} == {"4": "damaged", "10": "read_error"}
    both = ("search", "query=photo number 7", f"image={photos / '7.png'}", "exhaustive=true", "k=2", lake, *words)
    [first, _] = run(*both)["hits"]
    assert (first["uri"].rpartition("#")[2], first["text"]) == ("7", "photo number 7")
    assert first["score"] == pytest.approx(2, abs=0.02)


def test_a_medium_that_cannot_be_used_is_one_line(tmp_path, photos, words, tiny_encoder, in_process, capfd):
    lake = f"lake={tmp_path / 'lake'}"
    assert run("ingest", f"source={photos}", lake, *words)["encoded"] == 9

    def said(image, *encoder):
        capfd.readouterr()
        code = cli.main(["search", f"image={image}", "exhaustive=true", lake, *encoder])
        out, err = capfd.readouterr()
        [line] = err.splitlines()
        assert (code, out) == (1, "")
        return line

    assert "4.png: " in said(photos / "4.png", *words)
    assert "none.png: cannot be read: " in said(photos / "none.png", *words)
    done = run("ingest", f"source={photos}", lake, f"encoder={tiny_encoder}")
    assert (done["encoded"], done["failed_by_reason"]) == (0, {"unsupported": 9}), "4.png is bad for any encoder"
    assert "smart-jobs: " in said(photos / "1.png", f"encoder={tiny_encoder}")


@pytest.mark.slow
def test_an_adapter_is_applied_by_the_actors_wherever_they_are_at_home(tmp_path, photos, words, cluster, monkeypatch):
    """Given by a relative path: its states are those without it, adapted; the pooled vectors stay."""
    random = np.random.default_rng(0)
    tensors = {"proj.0.weight": random.normal(1, 0.1, 32), "proj.0.bias": random.normal(0, 0.1, 32),
               "proj.1.weight": random.normal(0, 0.2, (32, 32))}  # fmt: skip
    save_file({name: value.astype(np.float32) for name, value in tensors.items()}, tmp_path / "mine.safetensors")
    monkeypatch.chdir(tmp_path)
    lake = f"lake={tmp_path / 'lake'}"
    plain = run("ingest", f"source={photos}", lake, "codec=float32", *words)
    adapted = run("ingest", f"source={photos}", lake, "codec=float32", *words, "encoder.adapter=mine.safetensors")
    assert (plain["encoded"], adapted["encoded"]) == (9, 9)
    both = {name: layout.snapshot(layout.open_encoder(layout.open_lake(str(tmp_path / "lake")), name))
            for name in layout.encoders(layout.open_lake(str(tmp_path / "lake")))}  # fmt: skip
    [without] = [found for found in both.values() if found.tables.spec.adapter is None]
    [having] = [found for found in both.values() if found.tables.spec.adapter is not None]
    ids = np.sort(table.read(without.pooled, ["segment_id"])["segment_id"].to_numpy())
    np.testing.assert_array_equal(hybrid.pooled_vectors(having, ids), hybrid.pooled_vectors(without, ids))
    mine = adapter.read(tmp_path / "mine.safetensors", 32)
    wanted = codec.unit(adapter.adapted(StatesReader(without).read(ids).values, mine))
    np.testing.assert_allclose(StatesReader(having).read(ids).values, wanted, atol=2e-3)
    hits = run("search", f"image={photos / '3.png'}", "exhaustive=true", "k=1", lake, *words,
               "encoder.adapter=mine.safetensors")["hits"]  # fmt: skip
    assert hits[0]["uri"] == str(photos / "3.png")
