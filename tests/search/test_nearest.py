"""The best places of a stream of blocks, with and without pruning, against a double loop in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_making import pack

from smart_jobs import codec
from smart_jobs.search import maxsim, nearest, products

codecs = pytest.mark.parametrize("name", codec.CODECS)
calm = settings(max_examples=60, deadline=None)
DIM = 24


def spread(lengths, seed):
    """Unit tokens with a decaying spectrum, those of a segment near to each other: scores that differ."""
    random = np.random.default_rng(seed)
    spectrum = np.geomspace(1, 0.02, DIM)
    return [codec.unit((random.normal(size=DIM) + 0.5 * random.normal(size=(n, DIM))) * spectrum) for n in lengths]


def blocks_of(documents, known, ids, places, name, cuts):
    for part in np.split(np.arange(len(documents)), cuts):
        if len(part):
            yield nearest.Block(ids[part], places[part], known[:, part], pack([documents[i] for i in part], name))


def by_hand(queries, documents, known, ids, places, k, weight, name):
    """For each query [(score, id), ...]: the k best places' best segments."""
    decoded = [codec.decode(codec.encode(rows, name), *rows.shape, name).astype(float) for rows in documents]
    results = []
    for row, query in enumerate(queries):
        scored, seen, best = [], set(), []
        for i, rows in enumerate(decoded):
            if known[row, i] > -np.inf:
                scored.append((-(known[row, i] + weight * (query @ rows.T).max(axis=1).mean()), ids[i], places[i]))
        for score, key, place in sorted(scored):
            if place not in seen and len(best) < k:
                seen.add(place)
                best.append((-score, key))
        results.append(best)
    return results


def same(one, other):
    for name in ("ids", "places", "scores", "late"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@codecs
@given(st.data())
@calm
def test_the_best_are_those_of_a_double_loop_pruned_or_not_in_blocks_or_not(name, data):
    lengths = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=40))
    seed, k = data.draw(st.integers(0, 999)), data.draw(st.integers(1, 6))
    weight = data.draw(st.sampled_from([1.0, 0.0, 2.5, -1.0]))
    random = np.random.default_rng(seed)
    queries, documents = spread([3, 1, 5], seed), spread(lengths, seed + 1)
    known = (random.normal(size=(3, len(lengths))) * data.draw(st.sampled_from([0, 0.1]))).astype(np.float32)
    known[random.random(known.shape) < 0.2] = -np.inf
    ids = random.permutation(10 * len(lengths))[: len(lengths)].astype(np.int64)
    places = random.integers(0, max(1, len(lengths) // 2), len(lengths))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(lengths)), max_size=3)))
    stacked = maxsim.ragged(queries)
    found, whole, one = (
        nearest.best(stacked, blocks_of(documents, known, ids, places, name, cut), k, weight, prune=prune)
        for cut, prune in ((cuts, True), (cuts, False), ([], True))
    )
    if name in codec.FACTORS:
        same(found, whole)
        same(found, one)
    for row, best in enumerate(by_hand(queries, documents, known, ids, places, k, weight, name)):
        n = len(best)
        assert (found.ids[row, n:] == -1).all()
        assert np.isneginf(found.scores[row, n:]).all()
        np.testing.assert_allclose(found.scores[row, :n], [score for score, _ in best], atol=2e-6)
        at = {key: i for i, key in enumerate(ids.tolist())}
        for score, key, late in zip(found.scores[row, :n], found.ids[row, :n], found.late[row, :n], strict=True):
            np.testing.assert_allclose(score, known[row, at[key]] + weight * late, atol=1e-6)


@codecs
def test_equal_scores_are_ordered_by_segment_id_across_blocks(name):
    [query], [twin] = spread([4], 0), spread([6], 1)
    ids = np.array([7, 3, 9, 1, 5, 8])
    known = np.zeros((1, 6), np.float32)
    for cuts in ([], [2], [1, 4]):
        blocks = blocks_of([twin] * 6, known, ids, np.arange(6), name, cuts)
        assert nearest.best(maxsim.ragged([query]), blocks, 4).ids.tolist() == [[1, 3, 5, 7]]


@pytest.mark.skipif(not products.WHOLE, reason="no fast int8 products here")
@pytest.mark.parametrize("name", codec.FACTORS)
def test_a_segment_that_cannot_be_among_the_best_is_not_scored_in_full(name, monkeypatch):
    queries, documents = maxsim.ragged(spread([8], 0)), spread([5] * 300, 1)
    scored = []

    def noting(query, packed, digits=3, **options):
        if digits == 3:
            scored.append(len(packed.offsets) - 1)
        return late(query, packed, digits, **options)

    late = maxsim.late
    known = np.zeros((1, 300), np.float32)
    blocks = list(blocks_of(documents, known, np.arange(300), np.arange(300), name, [150]))
    whole = nearest.best(queries, blocks, 5, prune=False)
    monkeypatch.setattr(maxsim, "late", noting)
    same(nearest.best(queries, blocks, 5), whole)
    assert sum(scored) < 100


def test_fewer_places_than_asked_for_leave_the_rest_empty():
    queries, documents = maxsim.ragged(spread([2], 0)), spread([3, 2], 1)
    found = nearest.best(
        queries, blocks_of(documents, np.zeros((1, 2), np.float32), np.arange(2), np.zeros(2, int), "int8", []), 3
    )
    assert (found.ids[0] >= 0).tolist() == [True, False, False]
    assert np.isneginf(found.scores[0, 1:]).all()
    assert nearest.best(queries, [], 3).ids.tolist() == [[-1] * 3]


@pytest.mark.skipif(not products.WHOLE, reason="no fast int8 products here")
def test_where_each_query_has_few_candidates_no_other_pair_is_looked_at(monkeypatch):
    queries, documents = maxsim.ragged(spread([8, 4, 6, 5], 0)), spread([5] * 60, 1)
    known = np.full((4, 60), -np.inf, np.float32)
    for row in range(4):
        known[row, 9 * row : 9 * row + 12] = 0
    pairs = []

    def noting(query, packed, digits=3, **how):
        pairs.append((len(query.offsets) - 1) * (len(packed.offsets) - 1))
        return late(query, packed, digits, **how)

    late = maxsim.late
    blocks = list(blocks_of(documents, known, np.arange(60), np.arange(60), "int8", []))
    whole = nearest.best(queries, blocks, 3, prune=False)
    monkeypatch.setattr(maxsim, "late", noting)
    same(nearest.best(queries, blocks, 3), whole)
    assert sum(pairs) < 2 * 4 * 12
