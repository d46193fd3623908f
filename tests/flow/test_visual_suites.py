"""A task of images looked for by image and text, through the whole job, against one item at a time."""

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
from smart_jobs.records import Attached

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]


def picture(path: Path, seed: int) -> Attached:
    pixels = np.random.default_rng(seed).integers(0, 256, (70, 90, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return attached(path)


def attached(path: Path) -> Attached:
    return Attached(str(path), "image", storage.info(str(path)).stamp)


@pytest.fixture(scope="module")
def visual(tmp_path_factory):
    """Images changed as a text says are looked for among images, one of which is broken."""
    folder = tmp_path_factory.mktemp("visual")
    images = {f"{i}.png": picture(folder / f"{i}.png", i) for i in range(5)}
    (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:300])
    items = {name: Item(files=(file,), size=9) for name, file in images.items()}
    items["broken.png"] = Item(files=(attached(folder / "broken.png"),), size=9)
    queries = [
        Query("0", Item("the same at night", instruction="Find it.", files=(images["0.png"],)), {"1.png": 1.0}),
        Query("1", Item("without people", instruction="Find it.", files=(images["1.png"],)), {"broken.png": 1.0}),
        Query("2", Item(files=(images["2.png"],)), {"3.png": 1.0}),
    ]
    task = Task("composed", queries, items)
    made = tiny_vl.encoder(tiny_vl.checkpoint(folder / "model", "qwen3_vl"), "qwen3_vl")
    return folder, task, tiny_vl.conf(folder / "conf", made)


@pytest.mark.parametrize(
    ("mask", "mask_query"), [(None, None), ("content", None), (None, "text"), (None, "visual")], ids=str
)
def test_images_by_image_and_text_with_the_text_alone_in_the_late_score(visual, mask, mask_query):
    folder, task, conf = visual
    made = job(folder / "lake", f"conf={conf}", "encoder=tiny-qwen3_vl", "codec=bf16")
    asked = made.model_copy(update={"mask": mask, "mask_query": mask_query})
    result = evaluation.of_suite(asked, Made.of(task, root=str(folder)))
    failures = result["tasks"]["composed"]["failures"]
    assert (failures["candidates"], failures["reasons"], failures["first"][0]["name"]) == (
        1,
        {"damaged": 1},
        "broken.png",
    )
    assert result["tasks"]["composed"]["late"]["recall@100"] == pytest.approx(2 / 3, abs=1e-6)
    wanted = by_hand(task, seen_alone(made, task), "late", mask, mask_query or mask, "bf16")
    rows = stored(folder / "lake", result["run_id"], schema.EVALUATION_QUERIES)
    assert_hits([row for row in rows if row["scoring"] == "late"], wanted, atol=1e-4)


def seen_alone(made: settings.Evaluate, task: Task):
    """Every item alone through the model, images decoded here."""
    spec, folder = checkpoint.resolve(made.encoder, made)
    model = encoder.load(spec, folder, 1, 512)
    items = {("query", query.item) for query in task.queries}
    items |= {("document", item) for name, item in task.candidates.items() if name != "broken.png"}
    found = {}
    for side, item in items:
        data = [(Path(file.uri).read_bytes(), Wanted(file.uri, "image", spec.sampling)) for file in item.files]
        visuals = tuple(
            visual for content, wanted in data for part in parts(content, wanted) for visual in part.visuals
        )
        found[side, item] = model.encode([segment(item, side, visuals)])[0]
    return found
