"""Explained segments of real lakes: the score that search gives, tokens where they are, and what cannot be shown."""

import json
import subprocess
import sys

import numpy as np
import pymupdf
import pytest
import tiny_vl
from comparing import rows
from ingesting import ingest
from jobs import run
from PIL import Image
from tiny import checkpoint
from video_making import video

from smart_jobs import cli, config, masks, schema, settings
from smart_jobs.flow import explaining
from smart_jobs.records import JobError, UsageError

QUESTION = "query=the second use of the sea"
CODECS = ["float32", "int8", "binary"]


def explained(*words):
    return explaining.run(config.load(settings.Explain, "explain", words))


def segments(tables):
    """Rows of pooled by (file name, ordinal)."""
    return {(row["uri"].rpartition("/")[2], row["ordinal"]): row for row in rows(tables, schema.POOLED)}


@pytest.fixture(scope="module")
def seeing(tmp_path_factory) -> list[str]:
    """The words that name a tiny Qwen3-VL."""
    folder = tmp_path_factory.mktemp("vl")
    made = tiny_vl.encoder(tiny_vl.checkpoint(folder / "tiny", "qwen3_vl"), "qwen3_vl")
    return [f"conf={tiny_vl.conf(folder / 'conf', made)}", f"encoder={made.name}"]


def painted(path, row, column, rows_=3, columns=4, side=32):
    """A white image of so many patches, one of them black."""
    pixels = np.full((rows_ * side, columns * side, 3), 255, np.uint8)
    pixels[row * side : (row + 1) * side, column * side : (column + 1) * side] = 0
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """A document of three pages, an image and a video."""
    folder = tmp_path_factory.mktemp("media") / "in"
    folder.mkdir()
    document = pymupdf.open()
    for text in ("first page", "second page", "third page"):
        document.new_page().insert_text((72, 72), text, fontsize=40)
    document.save(folder / "a.pdf")
    painted(folder / "b.png", 1, 2)
    (folder / "c.mp4").write_bytes(video(range(40)))
    return folder


@pytest.fixture(scope="module")
def lake(tmp_path_factory, media, seeing):
    tables = ingest(f"source={media}", f"lake={tmp_path_factory.mktemp('lake') / 'lake'}", *seeing)
    return tables, [f"lake={tables.lake.uri}", *seeing], segments(tables)


SHOWN = [("a.pdf", 1), ("b.png", 0), ("c.mp4", 0)]


@pytest.mark.parametrize("name", SHOWN)
def test_the_mean_of_the_maxima_is_the_late_score_of_the_search(lake, tmp_path, name):
    _, words, there = lake
    where = f"where=segment_id = {there[name]['segment_id']}"
    [hit] = run("search", QUESTION, where, "exhaustive=true", *words)["hits"]
    found = explained(QUESTION, f"segment={hit['segment_id']}", f"out={tmp_path}/a.png", *words)
    assert found["late"] == pytest.approx(hit["late"], abs=2e-6)
    assert found["pooled"] == pytest.approx(hit["pooled"], abs=2e-6)
    assert np.mean([token["cosine"] for token in found["tokens"]]) == pytest.approx(hit["late"], abs=2e-6)
    assert sum(token["share"] for token in found["tokens"]) == pytest.approx(1, abs=1e-4)
    assert {key: found[key] for key in ("uri", "page", "start", "end", "title")} == {
        key: hit[key] for key in ("uri", "page", "start", "end", "title")
    }
    for token in found["tokens"]:
        assert token["cosine"] == max(token["cosines"])
        assert token["met"] == found["document"][token["cosines"].index(max(token["cosines"]))]


@pytest.mark.parametrize("name", SHOWN)
def test_a_page_an_image_and_a_video_are_drawn_and_their_tokens_named(lake, tmp_path, name):
    tables, words, there = lake
    found = explained(QUESTION, f"segment={there[name]['segment_id']}", f"out={tmp_path}/a.png", *words)
    assert (found["notes"], found["picture"]) == ([], f"{tmp_path}/a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert (image.format, image.width > 1000, image.height > 600) == ("PNG", True, True)
    [stored] = [row for row in rows(tables, schema.HIDDEN_STATES) if row["segment_id"] == there[name]["segment_id"]]
    kinds = [masks.NAMES[kind] for kind in masks.kinds(stored["token_kinds"])]
    assert [token["kind"] for token in found["document"]] == kinds
    own = [token for token in found["document"] if token["row"] is not None]
    assert [(token["frame"] - 1, token["row"] - 1, token["column"] - 1) for token in own] == list(
        np.ndindex(*stored["grids"])
    )
    around = [token for token in found["document"] if token["row"] is None and token["kind"] != "timestamp"]
    assert "".join(token["word"] for token in around) == "system\nRepresent the user's input.\nuser\n\nassistant\n"
    asked = "".join(token["word"] for token in found["tokens"] if token["kind"] == "text")
    assert asked == "the second use of the sea"
    if name == ("c.mp4", 0):
        together = -(-len(stored["frame_times"]) // stored["grids"][0])
        assert [token["start"] for token in own[:: stored["grids"][1] * stored["grids"][2]]] == [
            stored["frame_times"][at] for at in range(0, len(stored["frame_times"]), together)
        ]


def test_each_page_has_a_picture_of_its_own(lake, tmp_path):
    _, words, there = lake
    pictures = []
    for ordinal in (0, 1):
        out = tmp_path / f"{ordinal}.png"
        explained(QUESTION, f"segment={there['a.pdf', ordinal]['segment_id']}", f"out={out}", *words)
        pictures.append(np.asarray(Image.open(out)))
    assert pictures[0].shape != pictures[1].shape or (pictures[0] != pictures[1]).any()


def test_an_image_met_by_itself_meets_each_patch_where_it_is(lake, media, tmp_path):
    """An image as the query of its own segment: every patch of it meets the patch of the same row and column."""
    _, words, there = lake
    found = explained(f"image={media / 'b.png'}", f"segment={there['b.png', 0]['segment_id']}",
                      f"out={tmp_path}/a.png", *words)  # fmt: skip
    own = [token for token in found["tokens"] if token["row"] is not None]
    assert len(own) == 12
    best = max(own, key=lambda token: token["cosine"])
    assert best["cosine"] == pytest.approx(1, abs=5e-3)
    black = next(token for token in own if (token["row"], token["column"]) == (2, 3))
    assert (black["met"]["row"], black["met"]["column"]) == (2, 3)


# Texts


@pytest.fixture(scope="module")
def reading(tmp_path_factory) -> list[str]:
    """The words that name a tiny decoder-only text encoder whose passages are longer than what pooled keeps of them."""
    folder = tmp_path_factory.mktemp("reading")
    made = tiny_vl.encoder(tiny_vl.checkpoint(folder / "tiny", "text"), "text", max_length=1600)
    return [f"conf={tiny_vl.conf(folder / 'conf', made)}", f"encoder={made.name}"]


def long_text(lines=120):
    return "\n".join(f"line {i} of a longer text, käse {i * 7}" for i in range(lines))


@pytest.fixture
def long(tmp_path, reading):
    """A text of several passages, none of which pooled has whole; its path, the lake's words, its segments."""
    path = tmp_path / "in" / "long.txt"
    path.parent.mkdir()
    path.write_text(long_text())
    tables = ingest(f"source={path}", f"lake={tmp_path / 'lake'}", *reading)
    there = segments(tables)
    assert len(there) > 1
    assert all(row["text"] == row["text"][:1000] and len(row["text"]) == 1000 for row in there.values())
    return path, [f"lake={tables.lake.uri}", *reading, f"out={tmp_path}/a.png"], there


def test_a_long_passage_is_cut_again_from_its_source(long, tmp_path):
    path, words, there = long
    for (_, ordinal), row in there.items():
        found = explained(QUESTION, f"segment={row['segment_id']}", *words)
        assert found["notes"] == []
        said = "".join(token["word"] for token in found["document"]).replace("ää", "ä")  # two tokens, one letter
        assert said in path.read_text()
        assert said.startswith(row["text"])
        assert len(said) > 1000
        assert len(found["document"]) == row["n_tokens"], ordinal


def gone(path):
    path.unlink()
    return f"{path} is gone"


def changed(path):
    path.write_text(long_text(121))
    return f"{path} is not what it was when it was encoded"


@pytest.mark.parametrize("what", [gone, changed])
@pytest.mark.parametrize("earlier", [False, True])
def test_of_a_source_that_is_gone_or_changed_there_is_the_table_alone(long, tmp_path, what, earlier):
    path, words, there = long
    out = tmp_path / "a.png"
    if earlier:
        out.write_bytes(b"earlier")
    why = what(path)
    row = there["long.txt", 1]
    found = explained(QUESTION, f"segment={row['segment_id']}", *words)
    note = f"no picture: {why}" + (f"; {out} is an earlier one" if earlier else "")
    assert (found["picture"], found["notes"]) == (None, [note])
    assert not earlier or out.read_bytes() == b"earlier"
    assert earlier or not out.exists()
    assert len(found["document"]) == row["n_tokens"]
    assert {token["word"] for token in found["document"]} == {None}
    assert found["document"][7]["name"] == "state 7"
    assert all(token["word"] for token in found["tokens"])


def test_a_text_that_the_lake_has_whole_needs_no_source(tmp_path, tiny_encoder):
    path = tmp_path / "in" / "short.txt"
    path.parent.mkdir()
    path.write_text("The sea, and the boats of it.")
    tables = ingest(f"source={path}", f"lake={tmp_path / 'lake'}", f"encoder={tiny_encoder}")
    path.unlink()
    [row] = segments(tables).values()
    words = [f"lake={tables.lake.uri}", f"encoder={tiny_encoder}", f"out={tmp_path}/a.png"]
    found = explained("query=boats", f"segment={row['segment_id']}", *words)
    assert found["notes"] == []
    assert "".join(token["word"] for token in found["document"]) == "Thesea,andtheboatsofit."
    assert "".join(token["word"] for token in found["tokens"]) == "boats"
    assert (tmp_path / "a.png").exists()


def test_a_long_text_that_was_truncated_is_the_part_that_was_encoded(tmp_path):
    """Of rows and under text.long=truncate only the beginning is encoded; the source has more."""
    folder = checkpoint(tmp_path / "tiny", max_length=40)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "long.txt").write_text("the sea of " * 200)
    keys = [f"lake={tmp_path / 'lake'}", f"encoder={folder}", "text.long=truncate"]
    tables = ingest(f"source={tmp_path / 'in'}", *keys)
    [row] = segments(tables).values()
    found = explained("query=sea", f"segment={row['segment_id']}", f"out={tmp_path}/a.png", *keys)
    assert found["notes"] == []
    assert len(found["document"]) == 38
    said = "".join(token["word"] for token in found["document"])
    assert ("the sea of " * 200).replace(" ", "").startswith(said)


# What has no places, and rows


def test_merged_states_have_numbers_and_no_picture(tmp_path, tiny_encoder):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("the sea and the boats")
    keys = [f"lake={tmp_path / 'lake'}", f"encoder={tiny_encoder}", "encoder.pool_factor=2"]
    tables = ingest(f"source={tmp_path / 'in'}", *keys)
    [row] = segments(tables).values()
    found = explained("query=boats", f"segment={row['segment_id']}", f"out={tmp_path}/a.png", *keys)
    assert found["notes"] == ["no picture: its states are merged (pool_factor=2) and stand for no single token"]
    assert [token["name"] for token in found["document"]] == [f"state {i}" for i in range(row["n_tokens"])]
    assert [token["word"] for token in found["tokens"]] == list("boats")


@pytest.fixture(scope="module")
def photos(tmp_path_factory, seeing):
    """A table of two images with captions."""
    folder = tmp_path_factory.mktemp("photos")
    for name, place in (("x", (0, 1)), ("y", (2, 3))):
        painted(folder / f"{name}.png", *place)
    table = folder / "photos.jsonl"
    table.write_text("".join(
        json.dumps({"id": name, "text": f"photo {name}", "file": f"{name}.png"}) + "\n" for name in "xy"
    ))  # fmt: skip
    keys = [f"source={table}", "source.columns.image=file"]
    tables = ingest(*keys, f"lake={folder / 'lake'}", *seeing)
    return keys, [f"lake={tables.lake.uri}", *seeing], segments(tables)


def test_a_row_with_an_image_is_found_again_by_its_table(photos, tmp_path):
    source, words, there = photos
    row = there["photos.jsonl#y", 0]
    found = explained(QUESTION, f"segment={row['segment_id']}", f"out={tmp_path}/a.png", *source, *words)
    assert found["notes"] == []
    assert "photo y" in "".join(token["word"] or "" for token in found["document"])
    assert (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([], "is a row of a table; source=TABLE with its source.columns finds it again"),
        (["source={other}", "source.columns.image=file"], "is not in source {other}"),
        (["source={table}"], "is not what it was when it was encoded"),
    ],
)
def test_a_row_that_is_not_found_again_is_said(photos, tmp_path, keys, said):
    source, words, there = photos
    (tmp_path / "other.jsonl").write_text(json.dumps({"id": "x", "text": "a", "file": "x.png"}))
    names = {"other": tmp_path / "other.jsonl", "table": source[0].removeprefix("source=")}
    given = [key.format(**names) for key in keys]
    row = there["photos.jsonl#x", 0]
    found = explained(QUESTION, f"segment={row['segment_id']}", f"out={tmp_path}/a.png", *given, *words)
    [note] = found["notes"]
    assert note.endswith(said.format(**names))
    assert found["picture"] is None


# Mistakes


def test_a_segment_that_is_not_there_is_said_and_where_it_is(lake, tmp_path, tiny_encoder, media):
    tables, words, there = lake
    with pytest.raises(
        JobError, match=rf"^segment 5: {tables.spec.full_name} has no such segment in {tables.lake.uri}$"
    ):
        explained(QUESTION, "segment=5", *words)
    other = ingest(f"source={media / 'a.pdf'}", f"lake={tables.lake.uri}", f"encoder={tiny_encoder}")
    picture, text = there["b.png", 0]["segment_id"], f"encoder={tiny_encoder}"
    with pytest.raises(JobError, match=rf"{other.spec.full_name} has no .*; encoder={tables.spec.full_name} has one$"):
        explained(QUESTION, f"segment={picture}", f"lake={tables.lake.uri}", text)


def test_a_query_of_which_the_mask_leaves_nothing_is_said(tmp_path, media, seeing):
    keys = [f"lake={tmp_path / 'lake'}", *seeing, "encoder.mask_query=visual"]
    tables = ingest(f"source={media / 'b.png'}", *keys)
    [row] = segments(tables).values()
    with pytest.raises(JobError, match=r"^explain: the mask visual keeps no token of this query"):
        explained(QUESTION, f"segment={row['segment_id']}", f"out={tmp_path}/a.png", *keys)


def test_only_patches_are_states_under_a_visual_mask(tmp_path, media, seeing):
    keys = [f"lake={tmp_path / 'lake'}", *seeing, "encoder.mask=visual", "encoder.mask_query=reference"]
    tables = ingest(f"source={media / 'b.png'}", *keys)
    [row] = segments(tables).values()
    found = explained(QUESTION, f"segment={row['segment_id']}", f"out={tmp_path}/a.png", *keys)
    assert found["notes"] == []
    assert {token["kind"] for token in found["document"]} == {"image"}
    assert len(found["document"]) == 12


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ([], UsageError, "segment: missing; give segment=…"),
        (["segment=many"], UsageError, "segment: Input should be a valid integer"),
        (["segment=1", "out=a.jpg"], UsageError, "out: String should match pattern"),
        (["segment=1", "font=none.ttf"], UsageError, "font=none.ttf: not a TrueType or OpenType font"),
        (["segment=1"], JobError, "no lake there"),
    ],
)
def test_mistakes_are_one_line(tmp_path, words, error, said, tiny_encoder):
    with pytest.raises(error, match=said):
        explained(QUESTION, f"lake={tmp_path}/none", f"encoder={tiny_encoder}", *words)


def test_nothing_asked_is_wrong_usage(tiny_encoder):
    with pytest.raises(UsageError, match="explain: nothing to search for; give a question"):
        explained("segment=1", f"encoder={tiny_encoder}")


# As a command


def test_the_table_says_what_met_what(lake, tmp_path, capfd):
    """With the encoder by its full name, as a lake calls it."""
    tables, words, there = lake
    pinned = f"encoder={tables.spec.full_name}"
    keys = [f"segment={there['c.mp4', 0]['segment_id']}", f"out={tmp_path}/a.png", *words, pinned]
    assert cli.main(["explain", "the sea", *keys]) == cli.DONE
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("c.mp4 0.0-")
    assert lines[1].split("  ")[0] == "query token"
    assert lines[-1] == f"picture: {tmp_path}/a.png"
    assert cli.main(["explain", "the sea", *keys, "--json"]) == cli.DONE
    found = json.loads(capfd.readouterr().out)
    assert len(lines) == 3 + len(found["tokens"]) + 1
    assert [line.split("  ")[0] for line in lines[3:-1]] == [
        token["name"] + ("" if token["kind"] == "text" else f" ({token['kind']})") for token in found["tokens"]
    ]


def test_a_dry_run_loads_no_model_and_draws_nothing(lake, tmp_path, capfd):
    _, words, there = lake
    row = there["a.pdf", 2]
    keys = ["explain", "a", f"segment={row['segment_id']}", f"out={tmp_path}/a.png", *words]
    assert cli.main([*keys, "--dry-run", "--json"]) == cli.DONE
    found = json.loads(capfd.readouterr().out)
    assert (found["segment_id"], found["page"], found["states"]) == (str(row["segment_id"]), 3, row["n_tokens"])
    assert not (tmp_path / "a.png").exists()


def test_explaining_knows_no_ray():
    code = "import sys, smart_jobs.flow.explaining; print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "False\n", done.stderr
