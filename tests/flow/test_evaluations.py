"""The stored values of an evaluation, read from maps in several files, against reading row by row."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from smart_jobs import schema
from smart_jobs.evaluate import judgements
from smart_jobs.flow import evaluations
from smart_jobs.lake import layout

NAMES = ("hit@1", "ndcg_linear@5", "ndcg_linear@5:corrected", "mrr@10")


def append(lake, run_id, rows):
    filled = [{"hits": [], "scores": [], **row, "run_id": run_id} for row in rows]
    layout.append(lake, schema.EVALUATION_QUERIES, filled, f"test/{len(rows)}/{run_id}")
    mean = {"run_id": run_id, "suite": "s", "task": "one", "spec": "0123456789ab", "scoring": "late", "queries": 1,
            "lambda_pooled": 1.0, "lambda_late": 1.0, "candidates": 1, "metrics": [("hit@1", 1.0)],
            "table_versions": "{}", "at": datetime.now(UTC)}  # fmt: skip
    layout.append(lake, schema.EVALUATIONS, [mean], f"test/{len(rows)}/{run_id}")


@pytest.mark.parametrize("seed", range(3))
def test_values_are_those_of_every_row_by_itself(tmp_path, seed):
    random = np.random.default_rng(seed)
    lake = layout.create_lake(str(tmp_path))
    stored = [
        {"task": task, "scoring": scoring, "query": f"{query}",
         "metrics": [(name, random.random()) for name in NAMES if random.random() < 0.7]}
        for task in ("one", "two") for scoring in ("late", "pooled") for query in range(20)
    ]  # fmt: skip
    for rows in (stored[:7], stored[7:50], stored[50:]):
        append(lake, "mine", rows)
        append(lake, "other", [row | {"metrics": [("hit@1", 9.0)]} for row in rows])
    chosen = {"one": "hit@1", "two": "ndcg_linear@5:corrected"}
    found = evaluations.values(evaluations.find(lake.uri, "run", "mine"), chosen)
    expected: dict = {}
    for row in stored:
        value = judgements.value(dict(row["metrics"]), chosen[row["task"]])
        if value is not None:
            expected.setdefault(row["task"], {}).setdefault(row["scoring"], {})[row["query"]] = value
    assert found == expected


def test_entries_of_a_part_of_a_column_are_its_own():
    column = pa.array([[("a", 1.0)], [("b", 2.0), ("a", 3.0)], [], [("a", 4.0)]], pa.map_(pa.string(), pa.float64()))
    whole, part = (evaluations._entries(pa.chunked_array([part]), "a") for part in (column, column[1:3]))
    np.testing.assert_array_equal(whole, [1, 3, np.nan, 4])
    np.testing.assert_array_equal(part, [3, np.nan])


def test_what_was_first_is_told_by_task_scoring_and_query(tmp_path):
    lake = layout.create_lake(str(tmp_path))
    row = {"task": "one", "scoring": "late", "metrics": []}
    append(lake, "mine", [row | {"query": "a", "hits": ["x", "y"], "scores": [2.0, 1.0]}, row | {"query": "b"}])
    append(lake, "other", [row | {"query": "a", "hits": ["z"], "scores": [2.0]}])
    mine = evaluations.find(lake.uri, "run", "mine")
    assert evaluations.first(mine, {"a", "b"}) == {("one", "late", "a"): "x"}
    assert evaluations.first(mine, set()) == {}
    assert mine.encoder() == "0123456789ab"
    assert (mine.measured(), mine.scorings("one"), mine.scorings("two")) == ({"one": {"hit@1"}}, {"late"}, set())
