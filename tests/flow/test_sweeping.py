"""Masks, codecs and weights over what is stored: single runs against double loops, sweeps against single runs."""

import json

import numpy as np
import pytest
from evaluating import EVERYTHING, OWN, Made, assert_hits, by_hand, embeddings, job, stored

from smart_jobs import schema, storage
from smart_jobs.flow import evaluation
from smart_jobs.lake import layout
from smart_jobs.records import JobError

pytestmark = pytest.mark.usefixtures("module_in_process")


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_encoder):
    """A lake where everything is stored as float32, and the job that did it."""
    lake = tmp_path_factory.mktemp("sweeps") / "lake"
    made = job(lake, f"encoder={tiny_encoder}", "codec=float32")
    evaluation.of_suite(made, Made.of(EVERYTHING, OWN))
    return lake, made


LOOKS = [("content", None, None), (None, "content", "int8"), ("text", "text", "binary"), ("reference", None, "float32")]


@pytest.mark.parametrize(("mask", "mask_query", "codec"), LOOKS)
def test_masks_and_codecs_are_applied_to_what_is_stored(run, mask, mask_query, codec):
    lake, made = run
    asked = made.model_copy(update={"mask": mask, "mask_query": mask_query, "codec": codec})
    result = evaluation.of_suite(asked, Made.of(EVERYTHING))
    assert result["encoded"] == 0
    wanted = by_hand(EVERYTHING, embeddings(made, [EVERYTHING]), "late", mask, mask_query or mask, codec or "float32")
    rows = stored(lake, result["run_id"], schema.EVALUATION_QUERIES)
    assert_hits([row for row in rows if row["scoring"] == "late"], wanted, atol=1e-4)


def test_a_sweep_is_the_runs_with_its_keys_in_one(run):
    lake, made = run
    words = [f"encoder={made.encoder.model}", "codec=float32", "sweep.lambda_late=0:1:0.5", "sweep.lambda_pooled=1,-1",
             "sweep.mask=reference,content", "sweep.codec=float32,binary"]  # fmt: skip
    result = evaluation.of_suite(job(lake, *words), Made.of(EVERYTHING, OWN))
    sweep = result["sweep"]
    assert (result["encoded"], len(sweep["points"])) == (0, 24)
    assert sweep["measures"] == {"everything": "ndcg@10", "own": "mrr@10"}
    for point in sweep["points"][::5]:
        keys = ("lambda_pooled", "lambda_late", "mask", "codec")
        alone = evaluation.of_suite(made.model_copy(update={key: point[key] for key in keys}), Made.of(EVERYTHING, OWN))
        primary = {name: task["primary"]["hybrid"] for name, task in alone["tasks"].items()}
        assert point["tasks"] == primary
        assert point["mean"] == pytest.approx(np.mean(list(primary.values())), abs=1e-6)
        assert point["mask_query"] == point["mask"]
    assert sweep["points"][sweep["best"]]["mean"] == max(point["mean"] for point in sweep["points"])
    assert json.loads(storage.read_bytes(sweep["table"]))["points"] == sweep["points"]
    assert storage.read_bytes(sweep["chart"]).startswith(b"<svg")
    rows = stored(lake, result["run_id"], schema.EVALUATIONS)
    assert {row["scoring"] for row in rows} == {"pooled", "late", "hybrid"}


def test_a_codec_finer_than_the_stored_one_is_refused_before_anything_else(tmp_path, tiny_encoder):
    evaluation.of_suite(job(tmp_path, f"encoder={tiny_encoder}"), Made.of(OWN))
    for words in (["codec=bf16"], ["sweep.codec=int8,bf16"]):
        with pytest.raises(JobError, match=r"^codec=bf16: the states of tiny-\w+ in .* are stored as int8") as raised:
            evaluation.of_suite(job(tmp_path, f"encoder={tiny_encoder}", *words), Made.of(OWN))
        assert "\n" not in str(raised.value)


def test_new_tables_store_the_finest_codec_of_a_sweep(tmp_path, tiny_encoder):
    words = [f"encoder={tiny_encoder}", "codec=int8", "sweep.codec=binary,bf16"]
    result = evaluation.of_suite(job(tmp_path, *words), Made.of(OWN))
    inner = layout.open_lake(f"{tmp_path}/evaluation")
    assert layout.open_encoder(inner, result["encoder"]).codec == "bf16"
    rows = stored(tmp_path, result["run_id"], schema.EVALUATIONS)
    assert {row["codec"] for row in rows} == {"int8"}
