"""`smart-jobs compare` over evaluations whose rows are made up, and over two real ones."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from jobs import as_json, run
from suites import write_suite

from smart_jobs import cli, config, render_compare, schema
from smart_jobs.evaluate import intervals, parity
from smart_jobs.flow import comparing
from smart_jobs.lake import layout
from smart_jobs.records import JobError, UsageError
from smart_jobs.settings import Compare

FIRST, SECOND, THIRD = "20261121T020304-aaaaaa", "20261121T020304-bbbbbb", "20261122T010203-cccccc"
QUERIES = [f"q{i:02}" for i in range(40)]


def values(seed):
    """nDCG@10 by query."""
    gains = np.random.default_rng(seed).choice([0.0, 0.5, 0.6309, 1.0], len(QUERIES))
    return dict(zip(QUERIES, gains.tolist(), strict=True))


def store(lake, run_id, tasks, spec="0123456789ab", suite="beir", after=0, **weights):
    """An evaluation, stored `after` hours: `tasks` as task -> scoring -> query -> measure -> value."""
    at = datetime(2026, 11, 21, tzinfo=UTC) + timedelta(hours=after)
    weights = {"lambda_pooled": 1.0, "lambda_late": 1.0} | weights
    scorings = [(task, scoring, found) for task, content in tasks.items() for scoring, found in content.items()]
    queries = [
        {"run_id": run_id, "task": task, "query": query, "scoring": scoring,
         "hits": [f"{run_id[-1]}-{query}", "second"] if query != "q39" else [], "scores": [1.0, 0.5],
         "metrics": list(measures.items())}
        for task, scoring, found in scorings
        for query, measures in found.items()
    ]  # fmt: skip
    means = []
    for task, scoring, found in scorings:
        judged = [measures for measures in found.values() if measures]
        names = judged[0] if judged else {}
        means.append(
            {"run_id": run_id, "suite": suite, "task": task, "spec": spec, "scoring": scoring, **weights,
             "candidates": 200, "queries": len(judged), "table_versions": "{}", "at": at,
             "metrics": [(name, float(np.mean([row[name] for row in judged]))) for name in names]}
        )  # fmt: skip
    layout.append(lake, schema.EVALUATION_QUERIES, queries, f"evaluation/{run_id}")
    layout.append(lake, schema.EVALUATIONS, means, f"evaluation/{run_id}")


def ndcg(seed, queries=QUERIES):
    found = values(seed)
    return {query: {"recall@10": 1.0, "ndcg@10": found[query], "map": 0.3} for query in queries}


@pytest.fixture
def lake(tmp_path):
    """Three evaluations: two tasks of BEIR's measures, then one more task and fewer queries, then other tasks."""
    lake = layout.create_lake(str(tmp_path / "lake"))
    scorings = {name: ndcg(seed) for seed, name in enumerate(["two_stage", "late", "pooled", "hybrid"])}
    store(lake, FIRST, {"one": scorings, "two": {"hybrid": ndcg(7)}})
    later = {name: ndcg(10 + seed, QUERIES[:30]) for seed, name in enumerate(["late", "pooled", "hybrid"])}
    later["hybrid"] |= {"new": {"recall@10": 1.0, "ndcg@10": 1.0, "map": 1.0}, "q35": {}}
    store(lake, SECOND, {"one": later, "two": {"hybrid": ndcg(8)}, "three": {"late": ndcg(9)}}, lambda_late=0.5)
    store(lake, THIRD, {"four": {"hybrid": ndcg(0)}})
    return lake


def compare(lake, *words):
    return comparing.run(config.load(Compare, "compare", [*words, f"lake={lake.uri}"]))


def test_two_runs_are_compared_over_the_queries_of_both(lake):
    result = compare(lake, f"base={FIRST}", f"run={SECOND}")
    assert list(result["tasks"]) == ["one", "two"]
    one = result["tasks"]["one"]
    assert (one["measure"], one["not_in_both"]) == ("ndcg@10", ["two_stage"])
    assert list(one["scorings"]) == ["pooled", "late", "hybrid"]
    for scoring, before, after in (("pooled", 2, 11), ("late", 1, 10), ("hybrid", 3, 12)):
        base, other = (np.array([values(seed)[query] for query in QUERIES[:30]]) for seed in (before, after))
        expected = intervals.difference([base], [other])
        found = one["scorings"][scoring]
        assert (found["queries"], found["only_base"], found["only_run"]) == (30, 10, int(scoring == "hybrid"))
        assert (found["base"], found["run"]) == pytest.approx((base.mean(), other.mean()))
        assert found["difference"] == pytest.approx(other.mean() - base.mean())
        assert (found["low"], found["high"], found["p"]) == (expected.interval.low, expected.interval.high, expected.p)
        assert (found["better"], found["worse"], found["equal"]) == (
            (other > base).sum(), (other < base).sum(), (other == base).sum(),
        )  # fmt: skip
    assert (result["only_base"], result["only_run"], result["without_measure"]) == ([], ["three"], [])


def test_the_mean_over_tasks_weighs_tasks_and_not_queries(lake):
    result = compare(lake, f"base={FIRST}", f"run={SECOND}")
    differences = [task["scorings"]["hybrid"]["difference"] for task in result["tasks"].values()]
    hybrid = result["mean"]["hybrid"]
    assert (hybrid["tasks"], hybrid["difference"]) == (2, pytest.approx(np.mean(differences)))
    assert result["mean"]["late"]["tasks"] == 1
    assert result["mean"]["late"]["p"] == result["tasks"]["one"]["scorings"]["late"]["p"]


def test_the_queries_that_changed_most_are_named_with_what_was_first(lake):
    result = compare(lake, f"base={FIRST}", f"run={SECOND}", "changed=4")
    found = [row for row in result["changed"] if row["task"] == "one"]
    size = {query: abs(values(12)[query] - values(3)[query]) for query in QUERIES[:30]}
    assert [row["query"] for row in found] == sorted(size, key=lambda query: (-size[query], query))[:4]
    for row in found:
        assert (row["scoring"], row["base"], row["run"]) == (
            "hybrid",
            values(3)[row["query"]],
            values(12)[row["query"]],
        )
        assert (row["base_first"], row["run_first"]) == (f"a-{row['query']}", f"b-{row['query']}")
    assert compare(lake, f"base={FIRST}", f"run={SECOND}", "changed=0")["changed"] == []
    every = compare(lake, f"base={FIRST}", f"run={SECOND}", "changed=100")["changed"]
    [nothing] = [row for row in every if row["query"] == "q39"]
    assert (nothing["base_first"], nothing["run_first"]) == (None, None)


def test_each_run_may_be_in_a_lake_of_its_own(lake, tmp_path):
    other = layout.create_lake(str(tmp_path / "other"))
    store(other, FIRST, {"four": {"hybrid": ndcg(5), "late": ndcg(1)}}, spec="ba9876543210")
    result = compare(lake, f"base={FIRST}", f"base_lake={other.uri}")
    assert (result["base"]["lake"], result["run"]["lake"]) == (other.uri, lake.uri)
    assert (result["base"]["encoder"], result["run"]["encoder"]) == ("ba9876543210", "0123456789ab")
    assert (result["base"]["run_id"], result["run"]["run_id"]) == (FIRST, THIRD)
    assert result["tasks"]["four"]["scorings"].keys() == {"hybrid"}
    assert result["tasks"]["four"]["not_in_both"] == ["late"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["base=2026", "run=latest"], f"base=2026: several evaluations begin so: {FIRST}, {SECOND}, {THIRD}"),
        (["base=2025"], f"base=2025: no such evaluation in .*/lake; the newest are: {FIRST}, {SECOND}, {THIRD}"),
        (["base=latest", f"run={THIRD[:9]}"], f"base=latest, run={THIRD[:9]}: both are the evaluation {THIRD}"),
        (
            [f"base={FIRST}", f"run={SECOND}", "measure=hit@1"],
            "measure=hit@1: no task of both has it; measures of both are map, ndcg@10, recall@10",
        ),
    ],
)  # fmt: skip
def test_what_names_no_two_runs_is_wrong_usage(lake, words, said):
    with pytest.raises(UsageError, match=f"^{said}$"):
        compare(lake, *words)


def test_what_cannot_be_compared_is_one_line(lake, tmp_path):
    with pytest.raises(JobError, match=f"^{FIRST} and {THIRD} have no task in common: one, two; four$"):
        compare(lake, f"base={FIRST}")
    empty = layout.create_lake(str(tmp_path / "empty"))
    with pytest.raises(JobError, match=f"^lake {empty.uri}: nothing is evaluated yet; `smart-jobs evaluate suite=…"):
        compare(empty, "base=latest")


def test_a_beginning_that_one_run_alone_has_names_it(lake):
    assert compare(lake, f"base={FIRST[:16]}a", f"run={SECOND}")["base"]["run_id"] == FIRST


def test_the_latest_is_the_one_that_was_stored_last(lake):
    store(lake, "20261120T000000-dddddd", {"one": {"late": ndcg(1)}}, after=1)
    assert compare(lake, f"base={FIRST}")["run"]["run_id"] == "20261120T000000-dddddd"


def test_tasks_of_mmeb_are_compared_by_their_own_measures(tmp_path):
    lake = layout.create_lake(str(tmp_path))
    random = np.random.default_rng(0)
    tasks = [
        {
            task: {
                "pooled": {
                    query: dict(zip(parity.MEASURES, random.random(24).tolist(), strict=True)) for query in "abc"
                }
            }
            for task in ("MSVD", "MMLongBench-doc")
        }
        for _ in range(2)
    ]
    for query, content in tasks[1]["MMLongBench-doc"]["pooled"].items():
        content["ndcg_linear@5:corrected"] = ord(query) / 200
    for run_id, content in zip((FIRST, SECOND), tasks, strict=True):
        store(lake, run_id, content, suite="mmeb_v2")
    result = compare(lake, f"base={FIRST}", f"run={SECOND}")
    assert {task: content["measure"] for task, content in result["tasks"].items()} == {
        "MSVD": "hit@1", "MMLongBench-doc": "ndcg_linear@5",
    }  # fmt: skip
    result = compare(lake, f"base={FIRST}", f"run={SECOND}", "measure=ndcg_linear@5:corrected")["tasks"]
    base = np.mean([row["ndcg_linear@5"] for row in tasks[0]["MMLongBench-doc"]["pooled"].values()])
    found = result["MMLongBench-doc"]["scorings"]["pooled"]
    assert (found["base"], found["run"]) == pytest.approx((base, ord("b") / 200)), (
        "what is not stored is the reference's"
    )
    assert result["MSVD"]["scorings"]["pooled"]["run"] == pytest.approx(
        np.mean([row["ndcg_linear@5"] for row in tasks[1]["MSVD"]["pooled"].values()])
    )


def test_a_task_without_the_measure_is_named(lake):
    odd = {query: {"accuracy": 1.0} for query in QUERIES}
    for run_id in (f"{THIRD}1", f"{THIRD}2"):
        store(lake, run_id, {"one": {"late": ndcg(1)}, "odd": {"late": odd}})
    result = compare(lake, f"base={THIRD}1", "measure=map")
    assert (list(result["tasks"]), result["without_measure"]) == (["one"], ["odd"])
    assert compare(lake, f"base={THIRD}1")["tasks"]["odd"]["measure"] == "accuracy"


def test_a_task_without_a_query_in_both_has_no_difference(lake):
    store(lake, f"{THIRD}1", {"four": {"hybrid": {"other": {"ndcg@10": 1.0}}}})
    result = compare(lake, f"base={THIRD}")
    found = result["tasks"]["four"]["scorings"]["hybrid"]
    assert (found["queries"], found["only_base"], found["only_run"]) == (0, 40, 1)
    assert found["difference"] is found["p"] is result["mean"]["hybrid"]["difference"] is None
    assert "four: 40 queries only in base, 1 only in run" in render_compare.compare(result)


def test_on_the_command_line_two_bare_words_are_the_runs(lake, capsys):
    assert cli.main(["compare", FIRST, SECOND, f"lake={lake.uri}", "--json"]) == cli.DONE
    result = json.loads(capsys.readouterr().out)
    assert (result["base"]["run_id"], result["run"]["run_id"]) == (FIRST, SECOND)
    assert cli.main(["compare", FIRST, "run=" + SECOND, f"lake={lake.uri}"]) == cli.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        f"base  {FIRST}  beir  0123456789ab  hybrid 1 pooled + 1 late  {lake.uri}",
        f"run   {SECOND}  beir  0123456789ab  hybrid 1 pooled + 0.5 late  {lake.uri}",
    ]
    assert lines[4].split()[:4] == ["one", "ndcg@10", "pooled", "30"]
    assert "tasks only in run: three" in lines


@pytest.mark.ray
@pytest.mark.usefixtures("in_process")
def test_two_real_evaluations_of_one_encoder(tmp_path, tiny_encoder):
    suite = write_suite(tmp_path / "suite")
    words = ["suite=beir", f"suite.path={suite}", f"lake={tmp_path}/lake", f"encoder={tiny_encoder}"]
    one, other = run("evaluate", *words), run("evaluate", *words, "lambda_late=0")
    code, result = as_json("compare", one["run_id"], other["run_id"], f"lake={tmp_path}/lake", cwd=tmp_path)
    assert code == cli.DONE
    assert result["base"]["encoder"] == one["encoder"]
    scorings = result["tasks"]["suite"]["scorings"]
    assert list(scorings) == ["pooled", "late", "hybrid", "two_stage"]
    for scoring, found in scorings.items():
        expected = [side["tasks"]["suite"][scoring]["ndcg@10"] for side in (one, other)]
        assert [found["base"], found["run"]] == pytest.approx(expected, abs=1e-6)
        assert (found["queries"], found["only_base"], found["only_run"]) == (5, 0, 0)
    for same in ("pooled", "late"):
        assert (scorings[same]["difference"], scorings[same]["p"], scorings[same]["equal"]) == (0, 1, 5)
    assert scorings["hybrid"]["run"] == scorings["pooled"]["run"]
