"""A task of images looked for by image and text, through the whole job, against one item at a time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_vl
from decoding import parts
from evaluating import Made, assert_hits, by_hand, job, segment, stored
from PIL import Image

from smart_jobs import schema, settings, storage
from smart_jobs.decode.opening import Wanted
from smart_jobs.encode import checkpoint, encoder
from smart_jobs.evaluate.tasks import Item, Query, Task
from smart_jobs.flow import evaluation
from smart_jobs.keys import Lake
from smart_jobs.records import Attached, JobError

pytestmark = pytest.mark.usefixtures("module_in_process")


def picture(path: Path, seed: int) -> Attached:
    pixels = np.random.default_rng(seed).integers(0, 256, (70, 90, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return attached(path)


def attached(path: Path) -> Attached:
    return Attached(str(path), "image", storage.info(str(path)).stamp)


@pytest.fixture(scope="module")
def visual(tmp_path_factory):
    """Images changed as a text says are looked for among images; one of either side is broken."""
    folder = tmp_path_factory.mktemp("visual")
    images = {f"{i}.png": picture(folder / f"{i}.png", i) for i in range(5)}
    for name in ("broken.png", "torn.png"):
        (folder / name).write_bytes((folder / "0.png").read_bytes()[:300])
    items = {name: Item(files=(file,), size=9) for name, file in images.items()}
    items["broken.png"] = Item(files=(attached(folder / "broken.png"),), size=9)
    queries = [
        Query("0", Item("the same at night", instruction="Find it.", files=(images["0.png"],)), {"1.png": 1.0}),
        Query("1", Item("without people", instruction="Find it.", files=(images["1.png"],)), {"broken.png": 1.0}),
        Query("2", Item(files=(attached(folder / "torn.png"),)), {"2.png": 1.0}),
        Query("3", Item(files=(images["2.png"],)), {"3.png": 1.0}),
    ]
    task = Task("composed", queries, items)
    made = tiny_vl.encoder(tiny_vl.checkpoint(folder / "model", "qwen3_vl"), "qwen3_vl")
    conf = tiny_vl.conf(folder / "conf", made)
    return folder, task, job(folder / "lake", f"conf={conf}", "encoder=tiny-qwen3_vl", "codec=bf16")


MASKS = [(None, None), ("content", None), (None, "text"), (None, "visual")]


@pytest.mark.parametrize(("mask", "mask_query"), MASKS, ids=str)
def test_images_by_image_and_text_with_the_text_alone_in_the_late_score(visual, mask, mask_query):
    folder, task, made = visual
    asked = made.model_copy(update={"mask": mask, "mask_query": mask_query})
    result = evaluation.of_suite(asked, Made.of(task, root=str(folder)))
    assert result["tasks"]["composed"]["late"]["recall@100"] == 0.5
    wanted = by_hand(task, seen_alone(made, task), "late", mask, mask_query or mask, "bf16")
    rows = stored(folder / "lake", result["run_id"], schema.EVALUATION_QUERIES)
    assert_hits([row for row in rows if row["scoring"] == "late"], wanted, atol=1e-4)
    assert len(wanted["0"]) == 5
    assert wanted["2"] == []


def test_what_could_not_be_encoded_is_named_beside_the_score(visual):
    folder, task, made = visual
    other = replace(task, name="other", queries=task.queries[3:])
    result = evaluation.of_suite(made, Made.of(task, other, root=str(folder)))
    composed, rest = (result["tasks"][name]["failures"] for name in ("composed", "other"))
    assert (composed["queries"], composed["candidates"], composed["reasons"]) == (1, 1, {"damaged": 2})
    assert [(one["side"], one["name"], one["reason"]) for one in composed["first"]] == [
        ("query", "2", "damaged"), ("document", "broken.png", "damaged")]  # fmt: skip
    assert all(one["detail"] for one in composed["first"])
    assert (rest["queries"], rest["candidates"]) == (0, 1)
    rows = stored(folder / "lake", result["run_id"], schema.EVALUATIONS)
    [row] = [row for row in rows if (row["task"], row["scoring"]) == ("composed", "late")]
    assert (row["failed_queries"], row["failed_candidates"], dict(row["failures"])) == (1, 1, {"damaged": 2})


def test_a_task_without_any_candidate_scores_nothing_and_the_others_go_on(visual):
    folder, task, made = visual
    bare = Task("bare", [task.queries[3]], {"3.png": task.candidates["broken.png"]})
    result = evaluation.of_suite(made, Made.of(bare, task, root=str(folder)))
    assert set(result["tasks"]["bare"]["late"].values()) == {0.0}
    assert result["tasks"]["composed"]["late"]["recall@100"] == 0.5


def test_a_suite_of_which_nothing_can_be_encoded_is_one_line(visual, tmp_path):
    _, task, made = visual
    broken = Task("broken", [task.queries[2]], {"2.png": task.candidates["broken.png"]})
    elsewhere = made.model_copy(update={"lake": Lake(uri=str(tmp_path))})
    with pytest.raises(JobError, match=r"^evaluate: nothing of made could be encoded; `smart-jobs sql") as raised:
        evaluation.of_suite(elsewhere, Made.of(broken))
    assert "\n" not in str(raised.value)


def seen_alone(made: settings.Evaluate, task: Task):
    """Every item alone through the model, images decoded here."""
    spec, folder = checkpoint.resolve(made.encoder, made)
    model = encoder.load(spec, folder, 1, 512)
    items = {("query", query.item) for query in task.queries}
    items |= {("document", item) for item in task.candidates.values()}
    found = {}
    for side, item in items:
        if any(Path(file.uri).name in ("broken.png", "torn.png") for file in item.files):
            continue
        data = [(Path(file.uri).read_bytes(), Wanted(file.uri, "image", spec.sampling)) for file in item.files]
        visuals = tuple(
            visual for content, wanted in data for part in parts(content, wanted) for visual in part.visuals
        )
        found[side, item] = model.encode([segment(item, side, visuals)])[0]
    return found
