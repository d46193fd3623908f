import hashlib
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


DATASET = "set"


def every_pair(scores, names, dataset=DATASET, first=0):
    """The reference evaluator's order: a hash for every query and candidate, then two stable sorts."""
    orders = []
    for number, row in enumerate(scores, start=first):
        hashes = []
        for name in names:
            hasher = hashlib.blake2b(digest_size=8)
            for part in (f"{dataset}:{number}", name):
                hasher.update(str(part).encode("utf-8", errors="surrogatepass"))
                hasher.update(b"\0")
            hashes.append(int.from_bytes(hasher.digest(), "big"))
        by_hash = sorted(range(len(names)), key=hashes.__getitem__)
        orders.append(sorted(by_hash, key=lambda i, row=row: -row[i]))
    return orders


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
    for query, row, order in zip(queries, scores, every_pair(scores, candidates), strict=True):
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
    ours, expected = metrics.evaluate(*run, DATASET), theirs(*run)
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
    measured = metrics.evaluate(scores, ["none", "zero", "one"], ["a", "b"], {"zero": {"a": 0}, "one": {"a": 1}}, "s")
    assert measured.keys() == {"one"}


def test_what_scores_minus_infinity_was_not_retrieved():
    scores = np.array([[1.0, -np.inf]], np.float32)
    assert metrics.evaluate(scores, ["q"], ["a", "b"], {"q": {"b": 1}}, "s")["q"]["map"] == 0.0


SCORES = st.sampled_from([-1.0, -0.0, 0.0, 1e-45, 0.5, np.float32(0.5000001), 1.0, np.inf])
NAMES = st.one_of(st.integers(-3, 30), st.sampled_from(["", "3", "d é", "\ud800", "a\0b"]), st.text(max_size=3))


@settings(deadline=None)
@given(data=st.data(), shape=st.tuples(st.integers(1, 4), st.integers(1, 40)))
def test_rank_is_the_references_order_at_every_depth(data, shape):
    scores = data.draw(hnp.arrays(np.float32, shape, elements=SCORES))
    names = data.draw(st.lists(NAMES, min_size=shape[1], max_size=shape[1]))
    first, depth = data.draw(st.integers(0, 2)), data.draw(st.integers(0, shape[1] + 2))
    expected = np.array(every_pair(scores, names, first=first))
    assert np.array_equal(metrics.rank(scores, names, DATASET, first=first), expected)
    assert np.array_equal(metrics.rank(scores, names, DATASET, depth, first=first), expected[:, :depth])


@pytest.mark.parametrize("seed", range(20))
def test_rank_of_many_candidates_with_ties_at_the_cut(seed):
    rng = np.random.default_rng(seed)
    q, n, depth = 20, 300, int(rng.integers(1, 300))
    scores = rng.integers(-9, 11, (q, n)).astype(np.float32)
    names = [f"d{i}" for i in range(n)]
    ranked = metrics.rank(scores, names, "another set", depth)
    assert ranked.dtype == np.int64
    assert ranked.tolist() == [order[:depth] for order in every_pair(scores, names, "another set")]


def test_what_is_no_candidate_comes_last_by_position():
    scores = np.array([[-np.inf, 1.0, -np.inf, 2.0, -np.inf]], np.float32)
    assert metrics.rank(scores, list("abcde"), DATASET).tolist() == [[3, 1, 0, 2, 4]]
    assert metrics.rank(scores, list("abcde"), DATASET, 4).tolist() == [[3, 1, 0, 2]]


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_candidates_is_no_part_of_the_result(seed):
    scores, queries, ids, qrels = random_run(seed)
    order = np.random.default_rng(seed).permutation(len(ids))
    shuffled = [ids[i] for i in order]
    ranked, again = (metrics.rank(scores, ids, "s", 7), metrics.rank(scores[:, order], shuffled, "s", 7))
    there = np.take_along_axis(scores, ranked, axis=1) > -np.inf
    assert np.array_equal(np.array(ids)[ranked][there], np.array(shuffled)[again][there])
    measured, other = (metrics.evaluate(*run, "s") for run in (
        (scores, queries, ids, qrels), (scores[:, order], queries, shuffled, qrels)))  # fmt: skip
    assert measured == other


def test_the_hash_of_a_tie():
    """Of the bytes `DocVQA:7`, NUL, the name, NUL; a number is its digits."""
    wanted = [hashlib.blake2b(b"DocVQA:7\0" + name + b"\0", digest_size=8).digest() for name in (b"a", b"12", b"12")]
    assert metrics.tie_break(["a", 12, "12"], "DocVQA:7").tolist() == [int.from_bytes(one, "big") for one in wanted]


def test_equal_names_tie_by_position_and_queries_differ():
    scores = np.zeros((2, 60), np.float32)
    assert metrics.rank(scores, ["same"] * 60, DATASET).tolist() == [list(range(60))] * 2
    first, second = metrics.rank(scores, range(60), DATASET).tolist()
    assert sorted(first) == sorted(second) == list(range(60))
    assert first != second


@pytest.mark.parametrize(("scores", "said"), [
    (np.array([[0.0, np.nan]], np.float32), "NaN"),
    (np.zeros((1, 2)), "float64, not float32"),
])  # fmt: skip
def test_scores_that_cannot_be_ranked_are_refused(scores, said):
    with pytest.raises(ValueError, match=said):
        metrics.rank(scores, ["a", "b"], DATASET)


def test_the_mean_weighs_queries_equally():
    assert metrics.mean([{"map": 0.0, "mrr@10": 1.0}, {"map": 1.0, "mrr@10": 1.0}]) == {"map": 0.5, "mrr@10": 1.0}
    with pytest.raises(ValueError, match="no query"):
        metrics.mean([])
