"""Scores -> rankings, measures and hits: groups, shared content, own candidates, what failed, what the index passed."""

import numpy as np
import pytest

from smart_jobs.evaluate import metrics, scoring
from smart_jobs.evaluate.cuts import Pairs
from smart_jobs.evaluate.scoring import Matrices, Pool
from smart_jobs.evaluate.tasks import Item, Query, Task
from smart_jobs.search.hybrid import Weights

EQUAL = Weights()
NAMES = ["a", "b", "c", "c again"]
GROUPS, COLUMNS = np.array([0, 0, 1, 2]), np.array([0, 1, 2, 2])
POOLED = np.array([[0.9, 0.1, 0.2, 0.3], [0.0, 0.5, 0.4, 0.1]], np.float32)
LATE = np.array([[0.1, 0.2, 0.9, 0.0], [0.3, 0.1, 0.2, 0.6]], np.float32)


def make_task(*relevant, candidates=(None, None)) -> Task:
    queries = [Query(f"q{i}", Item("?"), dict.fromkeys(names, 1.0), own)
               for i, (names, own) in enumerate(zip(relevant, candidates, strict=True), start=1)]  # fmt: skip
    return Task("set", queries, {name: Item(name) for name in NAMES})


TASK = make_task(("b",), ("c again",))


def everything(passed=None, asked=(0, 1)) -> tuple[Pool, Matrices]:
    """Two queries, four segments in three groups, four names of which the last two share a group."""
    numbers = np.array(asked)
    pool = Pool(NAMES, GROUPS, COLUMNS, None, numbers, Pairs.all(len(numbers), 4))
    return pool, Matrices(POOLED[numbers].ravel(), LATE[numbers].reshape(1, -1), passed)


def by_scoring(pool, found, weights=EQUAL, task=TASK, kind="model"):
    return {result.scoring: result for result in scoring.results(task, pool, found, weights, kind)}


def test_each_scoring_ranks_by_its_own_scores_and_a_candidate_scores_as_its_best_segment():
    results = by_scoring(*everything())
    assert set(results) == {"pooled", "late", "hybrid"}
    assert dict(results["pooled"].hits["q1"]) == pytest.approx({"a": 0.9, "b": 0.2, "c": 0.3, "c again": 0.3})
    assert [results[name].hits["q1"][0][0] for name in results] == ["a", "b", "b"]
    assert dict(results["hybrid"].hits["q1"])["a"] == pytest.approx(1.0)
    assert results["late"].measures["q1"]["ndcg@10"] == 1.0


def test_weights_reach_the_hybrid_alone():
    plain, weighted = by_scoring(*everything()), by_scoring(*everything(), Weights(0, 2))
    assert weighted["late"].hits == plain["late"].hits
    assert dict(weighted["hybrid"].hits["q1"])["b"] == pytest.approx(1.8)


def test_an_encoder_that_pools_nothing_has_late_alone():
    assert set(by_scoring(*everything(), kind="mean_states")) == {"late"}


def test_two_stage_never_finds_what_the_index_did_not_pass_on():
    passed = np.array([[True, True, False, False], [False, False, False, True]])
    result = by_scoring(*everything(passed.ravel()))["two_stage"]
    assert [name for name, _ in result.hits["q1"]] == ["a"]
    assert result.measures["q1"]["ndcg@10"] == 0.0
    assert {name for name, _ in result.hits["q2"]} == {"c", "c again"}
    assert result.measures["q2"]["recall@10"] == 1.0


def test_a_query_that_could_not_be_encoded_finds_nothing_and_the_others_keep_their_numbers():
    """Numbers break ties: the second query's equal candidates are ordered as those of a second query."""
    equal = np.zeros(8, np.float32)
    whole = scoring.rankings(TASK, everything()[0], equal, None)
    pool, _ = everything(asked=(1,))
    found = scoring.rankings(TASK, pool, equal[:4], None)
    assert found[0].candidates.tolist() == []
    assert found[1].candidates.tolist() == whole[1].candidates.tolist()
    assert found[1].candidates.tolist() == np.argsort(metrics.tie_break(NAMES, "set:1")).tolist()
    results = by_scoring(pool, Matrices(equal[:4], equal[None, :4]))
    assert results["late"].hits["q1"] == []
    assert set(results["late"].measures["q1"].values()) == {0.0}


def test_a_candidate_without_a_segment_is_found_by_nobody():
    pool = Pool(NAMES, np.array([0, 2]), COLUMNS, None, np.arange(2), Pairs.all(2, 2))
    found = scoring.rankings(TASK, pool, np.array([-5, -6, -7, -8], np.float32), None)
    assert sorted(found[0].candidates.tolist()) == [0, 2, 3]


def test_each_query_ranks_its_own_candidates_and_one_given_twice_stands_twice():
    own = (("c", "b", "c", "a"), ("c again", "b"))
    task = make_task(("c",), ("b",), candidates=own)
    rows = [np.array([2, 1, 2, 0]), np.array([3, 1])]
    pairs = Pairs.some([np.array([0, 1, 2, 3]), np.array([2, 3])])
    pool = Pool(NAMES, GROUPS, COLUMNS, rows, np.arange(2), pairs)
    scores = np.array([0.1, 0.4, 0.3, 0.9, 0.2, -0.5], np.float32)
    first, second = scoring.rankings(task, pool, scores, None)
    assert [NAMES[i] for i in first.candidates] == ["c", "c", "a", "b"]
    assert first.scores.tolist() == pytest.approx([0.9, 0.9, 0.4, 0.3])
    assert [NAMES[i] for i in second.candidates] == ["b", "c again"]
    result = by_scoring(pool, Matrices(scores, scores[None]), task=task)["late"]
    assert [name for name, _ in result.hits["q1"]] == ["c", "c", "a", "b"]
    assert scoring.rankings(task, pool, scores, 1)[0].candidates.tolist() == [2]


def test_many_random_pools_equal_sorted_lists():
    """Groups of several segments, names that share one, own candidates with repetitions: against plain Python."""
    random = np.random.default_rng(0)
    for _ in range(30):
        groups = int(random.integers(1, 6))
        group_of, columns = random.integers(0, groups, 9), random.integers(0, groups, 7)
        names = [f"n{i}" for i in range(7)]
        rows = [random.integers(0, 7, int(random.integers(0, 9))) for _ in range(3)]
        own = [np.flatnonzero(np.isin(group_of, columns[row])) for row in rows]
        pool = Pool(names, group_of, columns, rows, np.arange(3), Pairs.some(own))
        scores = random.integers(-3, 4, int(pool.pairs.offsets[-1])).astype(np.float32)
        task = Task("t", [Query(str(i), Item(""), {}, tuple(names[j] for j in row)) for i, row in enumerate(rows)], {})
        for number, found in enumerate(scoring.rankings(task, pool, scores, None)):
            best = {}
            for segment, score in zip(own[number], scores[pool.pairs.of(number)], strict=True):
                best[group_of[segment]] = max(best.get(group_of[segment], -np.inf), score)
            ties = metrics.tie_break(names, f"t:{number}")
            there = [i for i in rows[number].tolist() if columns[i] in best]
            wanted = sorted(there, key=lambda i: (-best[columns[i]], ties[i]))
            assert found.candidates.tolist() == wanted


def test_a_task_that_nobody_judged_has_no_mean():
    result = by_scoring(*everything(), task=make_task((), ()))["late"]
    assert result.measures == {}
    assert result.mean() == {}
