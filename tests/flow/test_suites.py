"""Suites of made-up tasks through the whole job, against one item at a time and double loops in float64."""

import numpy as np
import pytest
import pytrec_eval
from evaluating import EVERYTHING, OWN, POOL, Made, assert_hits, by_hand, embeddings, job, ndcg, stored

from smart_jobs import schema
from smart_jobs.flow import evaluation

pytestmark = pytest.mark.usefixtures("module_in_process")


@pytest.fixture(scope="module")
def text_run(tmp_path_factory, tiny_encoder):
    lake = tmp_path_factory.mktemp("suites") / "lake"
    made = job(lake, f"encoder={tiny_encoder}", "codec=float32")
    suite = Made.of(EVERYTHING, OWN)
    return lake, made, suite, evaluation.of_suite(made, suite)


def test_what_tasks_share_is_encoded_once_and_tasks_are_read_one_after_the_other(text_run):
    _, _, suite, result = text_run
    queries = {query.item for task in (EVERYTHING, OWN) for query in task.queries}
    assert (result["encoded"], result["failures"]) == (len(queries) + len(set(POOL.values())), 0)
    assert suite.loaded == ["everything", "own", "everything", "own"]
    again = evaluation.of_suite(text_run[1], Made.of(EVERYTHING, OWN))
    assert (again["encoded"], again["failures"]) == (0, 0)
    assert {name: {**task, "seconds": 0} for name, task in again["tasks"].items()} == {
        name: {**task, "seconds": 0} for name, task in result["tasks"].items()
    }


@pytest.mark.parametrize("task", [EVERYTHING, OWN], ids=["everything", "own"])
@pytest.mark.parametrize("scoring", ["pooled", "late", "hybrid"])
def test_hits_and_measures_are_those_of_double_loops(text_run, task, scoring):
    lake, made, _, result = text_run
    wanted = by_hand(task, embeddings(made, [task]), scoring)
    rows = stored(lake, result["run_id"], schema.EVALUATION_QUERIES)
    rows = [row for row in rows if (row["task"], row["scoring"]) == (task.name, scoring)]
    assert {row["query"] for row in rows} == {query.name for query in task.queries}
    assert_hits(rows, wanted)
    judged = [query for query in task.queries if query.relevant]
    mean = np.mean([ndcg(query, [name for name, _ in wanted[query.name]]) for query in judged])
    assert result["tasks"][task.name][scoring]["ndcg@10"] == pytest.approx(mean, abs=1e-5)
    measured = {row["query"]: dict(row["metrics"]) for row in rows}
    assert {name for name, row in measured.items() if row} == {query.name for query in judged}


def test_global_measures_are_trec_evals(text_run):
    _, made, _, result = text_run
    found = by_hand(EVERYTHING, embeddings(made, [EVERYTHING]), "hybrid")
    qrels = {
        q.name: {str(name): int(grade) for name, grade in q.relevant.items()} for q in EVERYTHING.queries if q.relevant
    }
    run = {name: {str(other): score for other, score in found[name]} for name in qrels}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"map", "recall_10"}).evaluate(run)
    for ours, their in (("map", "map"), ("recall@10", "recall_10")):
        mean = sum(row[their] for row in theirs.values()) / len(qrels)
        assert result["tasks"]["everything"]["hybrid"][ours] == pytest.approx(mean, abs=1e-5)


def test_the_json_says_of_each_task_what_it_is_and_whether_it_is_whole(text_run):
    _, _, _, result = text_run
    everything, own = result["tasks"].values()
    assert (everything["queries"], everything["candidates"], everything["complete"]) == (4, 11, True)
    assert (own["queries"], own["complete"], own["expected"]) == (3, False, {"queries": 5})
    assert own["primary"] == {
        "measure": "mrr@10",
        **{name: own[name]["mrr@10"] for name in ("pooled", "late", "hybrid")},
    }
    assert (own["category"], own["modality"], own["two_stage"]) == ("QA", "text", None)
    mean = result["mean"]
    assert mean["late"]["map"] == pytest.approx((everything["late"]["map"] + own["late"]["map"]) / 2, abs=1e-6)
    both = (everything["hybrid"]["ndcg@10"] + own["hybrid"]["mrr@10"]) / 2
    assert mean["primary"]["hybrid"] == pytest.approx(both, abs=1e-6)


def test_rows_say_what_was_scored_and_with_what_success(text_run):
    lake, _, _, result = text_run
    rows = {(row["task"], row["scoring"]): row for row in stored(lake, result["run_id"], schema.EVALUATIONS)}
    assert set(rows) == {(task, name) for task in ("everything", "own") for name in ("pooled", "late", "hybrid")}
    own = rows["own", "late"]
    said = {"suite": "made", "category": "QA", "modality": "text", "primary": "mrr@10", "asked": 3, "ranked": 11}
    said |= {"expected_queries": 5, "expected_candidates": None, "failed_queries": 0, "failed_candidates": 0}
    said |= {"failures": [], "mask": "reference", "mask_query": "reference", "codec": "float32", "candidates": 0}
    assert {key: own[key] for key in said} == said
    assert rows["everything", "late"]["encoded"] == result["encoded"]
    assert own["seconds"] > 0


def test_two_stages_only_where_they_are_asked_for_with_what_they_lose(text_run):
    _, made, _, _ = text_run
    asked = made.model_copy(update={"candidates": 2})
    tasks = evaluation.of_suite(asked, Made.of(EVERYTHING, OWN))["tasks"]
    stage = tasks["everything"]["two_stage"]
    assert stage["candidates"] == 2
    assert stage["loss"]["ndcg@10"] == pytest.approx(
        tasks["everything"]["hybrid"]["ndcg@10"] - stage["ndcg@10"], abs=1e-6
    )
    assert tasks["own"]["two_stage"] is None
    whole = evaluation.of_suite(made.model_copy(update={"candidates": 500}), Made.of(EVERYTHING))["tasks"]["everything"]
    assert set(whole["two_stage"]["loss"].values()) == {0.0}
