"""Late scores against a double loop in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_jobs.search import maxsim

LENGTHS = st.lists(st.integers(1, 7), min_size=1, max_size=6)


def states(lengths, seed, dim=8, shift=0.0):
    """Unit float32 tokens of several segments; `shift` pushes them into one half-space."""
    rng = np.random.default_rng(seed)
    rows = [rng.normal(size=(n, dim)) + shift for n in lengths]
    return [(row / np.linalg.norm(row, axis=1, keepdims=True)).astype(np.float32) for row in rows]


def by_hand(query, document):
    """(1/|q|) Σ_i max_j <q_i, d_j>."""
    total = 0.0
    for i in query.astype(np.float64):
        best = -np.inf
        for j in document.astype(np.float64):
            best = max(best, float(i @ j))
        total += best
    return total / len(query)


def late(queries, documents):
    return maxsim.late(maxsim.ragged(queries), maxsim.ragged(documents))


@given(LENGTHS, LENGTHS, st.integers(0, 999), st.sampled_from([0.0, 2.0, -2.0]))
@settings(max_examples=60, deadline=None)
def test_scores_equal_a_double_loop(lengths_q, lengths_d, seed, shift):
    queries, documents = states(lengths_q, seed, shift=abs(shift)), states(lengths_d, seed + 1, shift=shift)
    found = late(queries, documents)
    wanted = [[by_hand(query, document) for document in documents] for query in queries]
    assert (found.shape, found.dtype) == ((len(queries), len(documents)), np.float32)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_document_whose_tokens_are_all_far_away_scores_below_zero():
    query = np.array([[1, 0]], np.float32)
    far = np.array([[-0.5, np.sqrt(0.75)]] * 2 + [[-0.5, -np.sqrt(0.75)]], np.float32)
    near = np.array([[0.5, np.sqrt(0.75)]] * 9, np.float32)
    np.testing.assert_allclose(late([query], [far, near, far[:1]]), [[-0.5, 0.5, -0.5]], atol=1e-6)


@given(LENGTHS, LENGTHS, st.integers(0, 999), st.integers(1, 600))
@settings(max_examples=60, deadline=None)
def test_the_size_of_a_tile_changes_nothing(lengths_q, lengths_d, seed, tile):
    queries, documents = states(lengths_q, seed), states(lengths_d, seed + 1)
    whole = late(queries, documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maxsim, "TILE_BYTES", tile)
        np.testing.assert_allclose(late(queries, documents), whole, atol=1e-6)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(1, 200), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_tiles_cover_every_document_once_within_their_bytes(lengths, tile, each):
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maxsim, "TILE_BYTES", tile)
        tiles = maxsim._tiles(offsets, each)
    assert [i for first, last in tiles for i in range(first, last)] == list(range(len(lengths)))
    assert all(last - first == 1 or (offsets[last] - offsets[first]) * each <= tile for first, last in tiles)


@given(LENGTHS, LENGTHS, st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_the_order_and_repetition_of_tokens_change_nothing(lengths_q, lengths_d, seed):
    rng = np.random.default_rng(seed)
    queries, documents = states(lengths_q, seed), states(lengths_d, seed + 1)
    whole = late(queries, documents)
    shuffled = late([rng.permutation(query) for query in queries], [rng.permutation(rows) for rows in documents])
    doubled = late([np.concatenate([query, query]) for query in queries], [np.repeat(rows, 3, 0) for rows in documents])
    np.testing.assert_allclose(shuffled, whole, atol=1e-6)
    np.testing.assert_allclose(doubled, whole, atol=1e-6)


@given(st.integers(2, 9), st.integers(2, 9), st.integers(0, 999), st.data())
@settings(max_examples=60, deadline=None)
def test_a_segment_cut_in_two_scores_as_its_halves_say(n_query, n_document, seed, data):
    [query], [document] = states([n_query], seed), states([n_document], seed + 1)
    at = data.draw(st.integers(1, n_document - 1))
    whole, left, right = late([query], [document, document[:at], document[at:]])[0]
    assert max(left, right) <= whole + 1e-6
    tokens = late([query[i : i + 1] for i in range(n_query)], [document[:at], document[at:]])
    np.testing.assert_allclose(tokens.max(axis=1).mean(), whole, atol=1e-6)
    at = data.draw(st.integers(1, n_query - 1))
    first, second = late([query[:at], query[at:]], [document])[:, 0]
    np.testing.assert_allclose((at * first + (n_query - at) * second) / n_query, whole, atol=1e-6)


def test_neighbours_do_not_change_a_score():
    queries, documents = states([3, 5], 0), states([4, 2, 6], 1)
    whole = late(queries, documents)
    for q, query in enumerate(queries):
        for d, document in enumerate(documents):
            np.testing.assert_allclose(late([query], [document])[0, 0], whole[q, d], atol=1e-6)


def test_ragged_keeps_every_token_at_its_place():
    parts = states([3, 1, 4], 0)
    made = maxsim.ragged(parts)
    assert made.offsets.tolist() == [0, 3, 4, 8]
    for i, part in enumerate(parts):
        np.testing.assert_array_equal(made.values[made.offsets[i] : made.offsets[i + 1]], part)
