"""Score matrices -> measures: groups, shared content and what the index passed on."""

import numpy as np
import pytest

from smart_jobs.evaluate import scoring
from smart_jobs.evaluate.scoring import Scored
from smart_jobs.search.hybrid import Weights


def test_a_group_scores_as_its_best_segment():
    scores = np.array([[0.1, 0.9, -0.5, 0.3], [-1.0, -2.0, -3.0, -4.0]])
    best = scoring.best_per_group(scores, np.array([2, 0, 2, 0]), 4)
    assert best.tolist() == [[0.9, -np.inf, 0.1, -np.inf], [-2.0, -np.inf, -1.0, -np.inf]]


def make(candidates: np.ndarray) -> Scored:
    """Two queries, four segments in three groups, four names of which the last two share a group."""
    pooled = np.array([[0.9, 0.1, 0.2, 0.3], [0.0, 0.5, 0.4, 0.1]], np.float32)
    late = np.array([[0.1, 0.2, 0.9, 0.0], [0.3, 0.1, 0.2, 0.6]], np.float32)
    groups, columns = np.array([0, 0, 1, 2]), np.array([0, 1, 2, 2])
    return Scored("set", ["q1", "q2"], ["a", "b", "c", "c again"], groups, columns, pooled, late, candidates)


EQUAL = Weights()
QRELS = {"q1": {"b": 1.0}, "q2": {"c again": 1.0}}


def by_scoring(scored: Scored, weights: Weights = EQUAL) -> dict[str, scoring.Result]:
    return {result.scoring: result for result in scoring.results(scored, QRELS, weights, "model")}


def test_each_scoring_ranks_by_its_own_matrix():
    results = by_scoring(make(np.ones((2, 4), bool)))
    assert results["pooled"].hits["q1"][0][0] == "a"
    assert results["late"].hits["q1"][0][0] == "b"
    assert dict(results["hybrid"].hits["q1"])["a"] == pytest.approx(1.0)
    assert dict(results["hybrid"].hits["q1"])["b"] == pytest.approx(1.1)
    assert results["two_stage"].hits == results["hybrid"].hits


def test_names_with_the_same_content_score_the_same():
    hits = dict(by_scoring(make(np.ones((2, 4), bool)))["late"].hits["q2"])
    assert hits["c"] == hits["c again"] == pytest.approx(0.6)


def test_weights_reach_the_hybrid_alone():
    plain, weighted = by_scoring(make(np.ones((2, 4), bool))), by_scoring(make(np.ones((2, 4), bool)), Weights(0, 2))
    assert weighted["late"].hits == plain["late"].hits
    assert dict(weighted["hybrid"].hits["q1"])["b"] == pytest.approx(1.8)


def test_two_stage_never_finds_what_the_index_did_not_pass_on():
    candidates = np.array([[True, True, False, False], [False, False, False, True]])
    result = by_scoring(make(candidates))["two_stage"]
    assert [name for name, _ in result.hits["q1"]] == ["a"]
    assert result.measures["q1"]["ndcg@10"] == 0.0
    assert {name for name, _ in result.hits["q2"]} == {"c", "c again"}
    assert result.measures["q2"]["recall@10"] == 1.0


def test_a_query_without_an_embedding_counts_as_nothing_found():
    scored = make(np.ones((2, 4), bool))
    scored.pooled[1], scored.late[1] = -np.inf, -np.inf
    for result in scoring.results(scored, QRELS, Weights(), "model"):
        assert result.hits["q2"] == []
        assert result.measures["q2"] == {"ndcg@10": 0, "recall@10": 0, "recall@100": 0, "mrr@10": 0, "map": 0}
