"""Two runs over the same queries, against plain sorting and averaging."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_jobs.evaluate import comparison, intervals, parity

VALUES = st.dictionaries(st.sampled_from([f"q{i}" for i in range(12)]), st.sampled_from([0.0, 0.5, 1.0]), max_size=12)


@given(VALUES, VALUES)
def test_a_pair_has_what_both_measured_and_counts_the_rest(base, run):
    found = comparison.pair(base, run)
    assert found.queries == tuple(sorted(set(base) & set(run)))
    assert dict(zip(found.queries, found.base.tolist(), strict=True)) == {q: base[q] for q in found.queries}
    assert dict(zip(found.queries, found.run.tolist(), strict=True)) == {q: run[q] for q in found.queries}
    assert (found.only_base, found.only_run) == (len(set(base) - set(run)), len(set(run) - set(base)))


@given(VALUES, VALUES, st.integers(0, 6))
def test_the_queries_that_changed_most_come_first(base, run, most):
    found = comparison.pair(base, run)
    size = {query: abs(run[query] - base[query]) for query in found.queries}
    expected = [query for query in sorted(size, key=lambda query: (-size[query], query)) if size[query]][:most]
    assert [found.queries[place] for place in comparison.changed(found, most)] == expected


def test_a_summary_is_that_of_the_intervals_over_tasks_with_shared_queries():
    random = np.random.default_rng(0)
    sides = [{f"q{i}": value for i, value in enumerate(random.random(n))} for n in (9, 12, 5, 7)]
    pairs = [comparison.pair(*sides[:2]), comparison.pair(*sides[2:]), comparison.pair({"a": 1.0}, {"b": 1.0})]
    found = comparison.summary(pairs)
    expected = intervals.difference([pair.base for pair in pairs[:2]], [pair.run for pair in pairs[:2]])
    assert found["base"] == pytest.approx(np.mean([pair.base.mean() for pair in pairs[:2]]))
    assert found["difference"] == pytest.approx(found["run"] - found["base"])
    assert (found["low"], found["high"], found["p"]) == (expected.interval.low, expected.interval.high, expected.p)
    assert (found["better"], found["worse"], found["equal"]) == (expected.better, expected.worse, expected.equal)


def test_without_a_shared_query_nothing_is_said():
    for pairs in ([], [comparison.pair({"a": 1.0}, {"b": 1.0})]):
        found = comparison.summary(pairs)
        assert set(found.values()) == {None}
        assert found.keys() == comparison.summary([comparison.pair({"a": 1.0}, {"a": 0.0})]).keys()


@pytest.mark.parametrize(
    ("task", "measured", "expected"),
    [
        ("MSVD", parity.MEASURES, "hit@1"),
        ("ImageNet-1K", parity.MEASURES, "hit@1"),
        ("ViDoSeek-page", parity.MEASURES, "ndcg_linear@5"),
        ("scifact", ("map", "ndcg@10", "recall@10"), "ndcg@10"),
        ("MSVD", ("map", "ndcg@10"), "ndcg@10"),
        ("mine", parity.MEASURES, "hit@1"),
        ("mine", ("z", "accuracy"), "accuracy"),
    ],
)
def test_the_measure_that_stands_for_a_task(task, measured, expected):
    assert comparison.primary(task, set(measured)) == expected
