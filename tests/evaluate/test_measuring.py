"""Measures of rankings, by hand."""

import math

import numpy as np
import pytest

from smart_jobs.evaluate import measuring
from smart_jobs.evaluate.measuring import Ranking
from smart_jobs.evaluate.tasks import Item, Query, Task

NAMES = ["a", "b", 7, "d"]


def task(*relevant):
    return Task("t", [Query(f"q{i}", Item("?"), grades) for i, grades in enumerate(relevant)], {})


def ranking(*numbers):
    return Ranking(np.array(numbers, np.int64), np.linspace(1, 0, len(numbers), dtype=np.float32))


def test_grades_count_and_what_is_no_candidate_is_never_found():
    found = measuring.measured(task({7: 2.0, "a": 1.0}, {"gone": 1.0}), NAMES, [ranking(1, 2, 0), ranking(0, 1)])
    wanted = (2 / math.log2(3) + 1 / math.log2(4)) / (2 + 1 / math.log2(3))
    assert found["q0"]["ndcg@10"] == pytest.approx(wanted)
    assert found["q0"]["map"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["q1"] == {"ndcg@10": 0, "recall@10": 0, "recall@100": 0, "mrr@10": 0, "map": 0}


def test_a_query_without_anything_relevant_is_not_measured():
    assert measuring.measured(task({}, {"b": 1.0}), NAMES, [ranking(1), ranking(1)]).keys() == {"q1"}


def test_what_finds_nothing_measures_zero():
    found = measuring.measured(task({"a": 1.0}), NAMES, [Ranking.nothing()])
    assert set(found["q0"].values()) == {0.0}


@pytest.mark.parametrize(("measure", "wanted"), [("ndcg@10", 10), ("hit@1", 1), ("recall@100", 100), ("map", None)])
def test_a_cut_tells_how_deep_a_measure_looks(measure, wanted):
    assert measuring.depth(measure) == wanted
