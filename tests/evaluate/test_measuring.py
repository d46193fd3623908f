"""Measures of rankings, by hand."""

import math

import numpy as np
import pytest

from smart_jobs.evaluate import judgements, measuring, parity
from smart_jobs.evaluate.measuring import Ranking
from smart_jobs.evaluate.tasks import Item, Query, Task

NAMES = ["a", "b", 7, "d"]


def task(*relevant, own=None, **how):
    return Task("t", [Query(f"q{i}", Item("?"), grades, own) for i, grades in enumerate(relevant)], {}, **how)


def ranking(*numbers):
    return Ranking(np.array(numbers, np.int64), np.linspace(1, 0, len(numbers), dtype=np.float32))


def test_grades_count_and_what_is_no_candidate_is_never_found():
    found = measuring.of(task({7: 2.0, "a": 1.0}, {"gone": 1.0}), NAMES)([ranking(1, 2, 0), ranking(0, 1)])
    wanted = (2 / math.log2(3) + 1 / math.log2(4)) / (2 + 1 / math.log2(3))
    assert found["q0"]["ndcg@10"] == pytest.approx(wanted)
    assert found["q0"]["map"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["q1"] == {"ndcg@10": 0, "recall@10": 0, "recall@100": 0, "mrr@10": 0, "map": 0}


def test_a_query_without_anything_relevant_is_not_measured():
    assert measuring.of(task({}, {"b": 1.0}), NAMES)([ranking(1), ranking(1)]).keys() == {"q1"}


def test_what_finds_nothing_measures_zero():
    found = measuring.of(task({"a": 1.0}), NAMES)([Ranking.nothing()])
    assert set(found["q0"].values()) == {0.0}


@pytest.mark.parametrize("graded", [True, False])
@pytest.mark.parametrize("own", [None, ("a", "b")])
def test_mmeb_has_both_parities_for_every_query(graded, own):
    """Grades in the order of the source, names as they are; a name ranked twice; nothing relevant; nothing found."""
    relevant = [{7: 1.0, 3: 2.0, "a": 1.0}, {"b": 3.0, "gone": 2.0}, {}, {"a": 1.0}]
    ranked = [ranking(1, 2, 2, 0, 3), ranking(0, 1), ranking(3), Ranking.nothing()]
    made = task(*relevant, own=own, measures="mmeb", graded=graded)
    found = measuring.of(made, NAMES)(ranked)
    for query, places in zip(made.queries, ranked, strict=True):
        names = [NAMES[number] for number in places.candidates]
        grades = list(query.relevant.values()) if graded else None
        for kind in ("reference", "corrected"):
            wanted = parity.measures(names, list(query.relevant), grades, kind)
            suffix = judgements.CORRECTED if kind == "corrected" else ""
            assert {name: judgements.value(found[query.name], name + suffix) for name in wanted} == wanted
    assert measuring.needed(made, 100) == (100 if own is None else None)


@pytest.mark.parametrize(("measure", "wanted"), [("ndcg@10", 10), ("hit@1", 1), ("recall@100", 100), ("map", None)])
def test_a_cut_tells_how_deep_a_measure_looks(measure, wanted):
    assert measuring.depth(measure) == wanted
