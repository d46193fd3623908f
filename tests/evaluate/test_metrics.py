import math

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smart_jobs.evaluate import metrics

THEIRS = {
    "ndcg@10": "ndcg_cut_10",
    "recall@10": "recall_10",
    "recall@100": "recall_100",
    "map": "map",
}


def brute_force(scores, ids):
    """Every candidate, by score, then by hash of its id, as `sorted` has it."""
    places = metrics.tie_break(ids)
    return [sorted(range(len(ids)), key=lambda i: (-row[i], places[i])) for row in scores.tolist()]


def random_run(seed):
    """A run with ties, non-candidates, judged candidates that are missing, graded and negative judgements."""
    rng = np.random.default_rng(seed)
    q, n = int(rng.integers(1, 6)), int(rng.integers(1, 250))
    candidates = [f"d{i}" for i in rng.permutation(n)]
    queries = [f"q{i}" for i in range(q)]
    scores = rng.integers(0, max(2, n // int(rng.integers(1, 4))), (q, n)).astype(np.float32) / 7
    scores[rng.random((q, n)) < rng.choice([0, 0.3])] = -np.inf
    judged = [*candidates, *(f"absent{i}" for i in range(5))]
    qrels = {
        query: {name: int(rng.integers(-1, 5)) for name in judged if rng.random() < rng.choice([0.02, 0.2])}
        for query in queries
    }
    return scores, queries, candidates, qrels


def theirs(scores, queries, candidates, qrels):
    """pytrec_eval over our order, told as strictly descending scores: how it breaks ties is not what is compared."""
    run, top = {}, {}
    for query, row, order in zip(queries, scores, brute_force(scores, candidates), strict=True):
        retrieved = [candidates[i] for i in order if row[i] > -np.inf]
        run[query] = {name: float(len(retrieved) - place) for place, name in enumerate(retrieved)}
        top[query] = {name: run[query][name] for name in retrieved[:10]}
    judged = {query: grades for query, grades in qrels.items() if any(grade > 0 for grade in grades.values())}
    measured = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut.10", "recall.10,100", "map"}).evaluate(run)
    cut = pytrec_eval.RelevanceEvaluator(judged, {"recip_rank"}).evaluate(top)
    expected = {}
    for query in judged:  # pytrec_eval leaves out a query that retrieved nothing
        found = {ours: measured.get(query, {}).get(name, 0.0) for ours, name in THEIRS.items()}
        expected[query] = found | {"mrr@10": cut.get(query, {}).get("recip_rank", 0.0)}
    return expected


@pytest.mark.parametrize("seed", range(300))
def test_measures_equal_trec_evals(seed):
    run = random_run(seed)
    ours, expected = metrics.evaluate(*run), theirs(*run)
    assert ours.keys() == expected.keys()
    for query, measures in expected.items():
        assert ours[query] == pytest.approx(measures, abs=1e-9), query


@given(
    gains=st.lists(st.integers(-1, 3), max_size=30),
    missed=st.lists(st.integers(1, 3), max_size=12),
)
def test_measure_equals_trec_evals(gains, missed):
    grades = {f"d{i}": gain for i, gain in enumerate(gains)} | {f"m{i}": grade for i, grade in enumerate(missed)}
    ideal = np.array([grade for grade in grades.values() if grade > 0], np.float64)
    if not len(ideal):
        with pytest.raises(ValueError, match="positive judgement"):
            metrics.measure(np.array(gains, np.float64), ideal)
        return
    scores = np.arange(len(gains), 0, -1, dtype=np.float32)[None]
    expected = theirs(scores, ["q"], [f"d{i}" for i in range(len(gains))], {"q": grades})["q"]
    assert metrics.measure(np.array(gains, np.float64), ideal) == pytest.approx(expected, abs=1e-9)


def test_measures_by_hand():
    measured = metrics.measure(np.array([0.0, 2.0, 0.0, 0.5]), np.array([0.5, 1.0, 2.0]))
    best = 2 + 1 / math.log2(3) + 0.5 / 2
    assert measured == pytest.approx(
        {
            "ndcg@10": (2 / math.log2(3) + 0.5 / math.log2(5)) / best,
            "recall@10": 2 / 3,
            "recall@100": 2 / 3,
            "mrr@10": 1 / 2,
            "map": (1 / 2 + 2 / 4) / 3,
        },
    )


def test_the_first_relevant_after_rank_ten_counts_for_nothing():
    gains = np.zeros(12)
    gains[10] = 1
    measured = metrics.measure(gains, np.ones(1))
    assert measured == {"ndcg@10": 0.0, "recall@10": 0.0, "recall@100": 1.0, "mrr@10": 0.0, "map": 1 / 11}


def test_queries_without_a_positive_judgement_are_left_out():
    scores = np.ones((3, 2), np.float32)
    measured = metrics.evaluate(scores, ["none", "zero", "one"], ["a", "b"], {"zero": {"a": 0}, "one": {"a": 1}})
    assert measured.keys() == {"one"}


def test_what_scores_minus_infinity_was_not_retrieved():
    scores = np.array([[1.0, -np.inf]], np.float32)
    assert metrics.evaluate(scores, ["q"], ["a", "b"], {"q": {"b": 1}})["q"]["map"] == 0.0


@settings(deadline=None)
@given(
    scores=hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.integers(1, 40)),
        elements=st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5, 1.0, np.inf]),
    ),
    data=st.data(),
)
def test_rank_equals_brute_force_at_every_depth(scores, data):
    ids = [f"d{i}" for i in range(scores.shape[1])]
    expected, places = np.array(brute_force(scores, ids)), metrics.tie_break(ids)
    depth = data.draw(st.integers(0, scores.shape[1] + 2))
    assert np.array_equal(metrics.rank(scores, places), expected)
    assert np.array_equal(metrics.rank(scores, places, depth), expected[:, :depth])


@pytest.mark.parametrize("seed", range(20))
def test_rank_of_many_queries_with_ties_at_the_cut(seed):
    rng = np.random.default_rng(seed)
    q, n, depth = 3 * metrics.ROWS + 1, 300, int(rng.integers(1, 300))
    scores = rng.integers(0, 20, (q, n)).astype(np.float32)
    ids = [f"d{i}" for i in range(n)]
    ranked = metrics.rank(scores, metrics.tie_break(ids), depth)
    assert ranked.dtype == np.int64
    assert ranked.tolist() == [row[:depth] for row in brute_force(scores, ids)]


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_candidates_is_no_part_of_the_result(seed):
    scores, queries, ids, qrels = random_run(seed)
    order = np.random.default_rng(seed).permutation(len(ids))
    shuffled = [ids[i] for i in order]
    for depth in (None, 7):
        ranked = metrics.rank(scores, metrics.tie_break(ids), depth)
        again = metrics.rank(scores[:, order], metrics.tie_break(shuffled), depth)
        assert np.array_equal(np.array(ids)[ranked], np.array(shuffled)[again])
    assert metrics.evaluate(scores, queries, ids, qrels) == metrics.evaluate(scores[:, order], queries, shuffled, qrels)


def test_ties_follow_neither_the_name_nor_the_position():
    ids = [f"d{i:03}" for i in range(100)]
    places = metrics.tie_break(ids)
    assert sorted(places.tolist()) == list(range(100))
    assert places.tolist() != list(range(100))
    assert metrics.tie_break(ids[:50]).tolist() == np.argsort(np.argsort(places[:50])).tolist()


def test_colliding_hashes_are_ordered_by_id(monkeypatch):
    class Same:
        def __init__(self, data, digest_size):
            pass

        def digest(self):
            return b"same"

    monkeypatch.setattr(metrics.hashlib, "blake2b", Same)
    assert metrics.tie_break(["c", "a", "b"]).tolist() == [2, 0, 1]


def test_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        metrics.rank(np.array([[0.0, np.nan]], np.float32), np.arange(2))


def test_the_mean_weighs_queries_equally():
    assert metrics.mean([{"map": 0.0, "mrr@10": 1.0}, {"map": 1.0, "mrr@10": 1.0}]) == {"map": 0.5, "mrr@10": 1.0}
    with pytest.raises(ValueError, match="no query"):
        metrics.mean([])
