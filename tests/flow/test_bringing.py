"""Rows of a benchmark through real runs: encoded once, copied under another name, one failure for a bad frame."""

import shutil

import numpy as np
import pytest
import tiny_vl
from comparing import rows
from PIL import Image

from smart_jobs import schema, storage
from smart_jobs.encode import checkpoint
from smart_jobs.evaluate.tasks import Item
from smart_jobs.flow import bringing
from smart_jobs.flow.bringing import Options
from smart_jobs.keys import Cluster, Cut
from smart_jobs.lake import layout
from smart_jobs.records import Attached

pytestmark = pytest.mark.usefixtures("module_in_process")


def frames(folder, count, seed=0):
    folder.mkdir(parents=True)
    for i in range(count):
        pixels = np.random.default_rng(seed + i).integers(0, 256, (64, 96, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def asset(folder, text, count=3, side="document"):
    paths = [folder / f"{i}.png" for i in range(count)]
    files = tuple(Attached(str(path), "frame", storage.info(str(path)).stamp) for path in paths)
    return Item(text, files=files).asset(side, "/")


def test_a_benchmarks_rows_are_encoded_once(tmp_path):
    config = tiny_vl.encoder(tiny_vl.checkpoint(tmp_path / "model", "qwen3_vl"), "qwen3_vl")
    spec, _ = checkpoint.resolve(config, Cut())
    tables = layout.create_encoder(layout.create_lake(str(tmp_path / "lake")), spec, "float32")

    def bring(*assets):
        return bringing.bring_in(assets, tables, config, Options("evaluate", Cluster(), 1000, 1000))

    first, short = frames(tmp_path / "a", 3), frames(tmp_path / "b", 2, 50)
    texts = [Item(text).asset("document", "/") for text in ("", " ", "words")]
    one, bad = asset(first, "what?"), asset(short, "broken", 3)
    done = bring(one, bad, *texts)
    assert (done.encoded, done.reused, done.failed_by_reason) == (4, 0, {"read_error": 1})
    shutil.copytree(first, tmp_path / "again")
    same, other = asset(tmp_path / "again", "what?"), asset(tmp_path / "again", "what?", side="query")
    done = bring(one, same, other, *texts)
    assert (done.encoded, done.reused, done.failures) == (1, 1, 0)
    found = {row["asset_id"]: row for row in rows(tables, schema.POOLED)}
    assert set(found) == {item.id for item in (one, same, other, *texts)}
    assert found[one.id]["pooled"] == found[same.id]["pooled"]
    assert found[one.id]["version"] == found[same.id]["version"] != found[other.id]["version"]
    assert all(found[item.id]["n_tokens"] > 0 for item in texts)
    assert [found[item.id]["text"] for item in texts] == ["", " ", "words"]
    assert bring(one, same, other, *texts).run_id is None
