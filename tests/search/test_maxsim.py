"""Late scores against a double loop in float64, over states as every codec stores them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_making import pack

from smart_jobs import codec
from smart_jobs.search import maxsim, products

codecs = pytest.mark.parametrize("name", codec.CODECS)
calm = settings(max_examples=60, deadline=None)
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


def late(queries, documents, name="float32", **options):
    return maxsim.late(maxsim.ragged(queries), pack(documents, name), **options)


def decoded(documents, name):
    return [codec.decode(codec.encode(rows, name), *rows.shape, name) for rows in documents]


@codecs
@given(LENGTHS, LENGTHS, st.integers(0, 999), st.sampled_from([0.0, 2.0, -2.0]), st.sampled_from([1, 7, 8, 24, 67]))
@calm
def test_scores_equal_a_double_loop_over_decoded_states(name, lengths_q, lengths_d, seed, shift, dim):
    queries = states(lengths_q, seed, dim, abs(shift))
    documents = states(lengths_d, seed + 1, dim, shift)
    found = late(queries, documents, name)
    wanted = [[by_hand(query, document) for document in decoded(documents, name)] for query in queries]
    assert (found.shape, found.dtype) == ((len(queries), len(documents)), np.float32)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_bf16_rows_whose_norm_is_all_but_1_are_left_as_decoding_leaves_them():
    """Their squared norms are off by up to 4e-6: norms of 1 would be other scores by more than rounding."""
    random = np.random.default_rng(0)
    drawn = codec.unit(random.standard_normal((100_000, 8)))
    stored = codec.decode(codec.encode(drawn, "bf16"), *drawn.shape, "bf16")
    off = np.abs(np.square(stored, dtype=float).sum(axis=1) - 1)
    rows = drawn[(off > 2e-6) & (off < 0.97 * codec.NEAR)]  # at the bound rounding decides
    assert len(rows) > 10
    documents = [row[None] for row in rows]
    wanted = [[by_hand(documents[0], document) for document in decoded(documents, "bf16")]]
    np.testing.assert_allclose(late(documents[:1], documents, "bf16"), wanted, atol=3e-7)


@codecs
def test_many_dimensions_cost_no_more_than_float32_rounding(name):
    """Where elements differ by orders of magnitude, so that a query in one digit would lose most of them."""
    random = np.random.default_rng(0)
    spectrum = np.geomspace(1, 1e-3, 2048)
    queries, documents = (
        [codec.unit(random.standard_normal((n, 2048)) * spectrum) for n in lengths] for lengths in ([3, 9], [40, 7, 1])
    )
    wanted = [[(query.astype(float) @ rows.astype(float).T).max(axis=1).mean() for rows in decoded(documents, name)]
              for query in queries]  # fmt: skip
    np.testing.assert_allclose(late(queries, documents, name), wanted, atol=3e-7)


@pytest.mark.parametrize("name", codec.FACTORS)
@given(LENGTHS, LENGTHS, st.integers(0, 999), st.sampled_from([1, 8, 67]))
@calm
def test_one_digit_is_off_by_no_more_than_slack(name, lengths_q, lengths_d, seed, dim):
    queries, documents = states(lengths_q, seed, dim), states(lengths_d, seed + 1, dim)
    off = np.abs(late(queries, documents, name, digits=1) - late(queries, documents, name))
    assert (off <= maxsim.slack(maxsim.ragged(queries), pack(documents, name))).all()


@pytest.mark.parametrize(
    ("name", "exact"), [*((name, False) for name in codec.FACTORS), ("bf16", True), ("float32", True)]
)
@given(LENGTHS, LENGTHS, st.integers(0, 999))
@calm
def test_a_score_is_the_same_to_the_bit_in_any_company(name, exact, lengths_q, lengths_d, seed):
    queries, documents = states(lengths_q, seed, 67), states(lengths_d, seed + 1, 67)
    whole = late(queries, documents, name, exact=exact)
    alone = [[late([query], [document], name, exact=exact)[0, 0] for document in documents] for query in queries]
    np.testing.assert_array_equal(whole, alone)


@codecs
@pytest.mark.parametrize("integers", [True, False])
@given(LENGTHS, LENGTHS, st.integers(0, 999), st.sampled_from([1, 8, 67]))
@calm
def test_exact_scores_equal_a_double_loop_too(name, integers, lengths_q, lengths_d, seed, dim):
    queries, documents = states(lengths_q, seed, dim), states(lengths_d, seed + 1, dim)
    wanted = [[by_hand(query, document) for document in decoded(documents, name)] for query in queries]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "WHOLE", integers and products.WHOLE)
        np.testing.assert_allclose(late(queries, documents, name, exact=True), wanted, atol=1e-6)


@codecs
@given(LENGTHS, LENGTHS, st.integers(0, 999), st.floats(0, 1))
@calm
def test_only_what_is_wanted_is_scored_and_it_is_the_same(name, lengths_q, lengths_d, seed, share):
    queries, documents = states(lengths_q, seed), states(lengths_d, seed + 1)
    wanted = np.random.default_rng(seed).random((len(queries), len(documents))) < share
    found = maxsim.late_where(maxsim.ragged(queries), pack(documents, name), wanted, exact=True)
    np.testing.assert_array_equal(found[wanted], late(queries, documents, name, exact=True)[wanted])


@codecs
def test_a_query_of_zeros_scores_zero_and_costs_its_neighbours_nothing(name):
    [query], documents = states([3], 0), states([4, 2], 1)
    found = late([np.zeros((2, 8), np.float32), query], documents, name)
    assert not found[0].any()
    np.testing.assert_allclose(found[1:], late([query], documents, name), atol=1e-6)


@codecs
def test_a_document_whose_tokens_are_all_far_away_scores_below_zero(name):
    query = np.array([[1, 0]], np.float32)
    far = np.array([[-0.5, np.sqrt(0.75)]] * 2 + [[-0.5, -np.sqrt(0.75)]], np.float32)
    near = np.array([[0.5, np.sqrt(0.75)]] * 9, np.float32)
    wanted = [[by_hand(query, rows) for rows in decoded([far, near, far[:1]], name)]]
    np.testing.assert_allclose(late([query], [far, near, far[:1]], name), wanted, atol=1e-6)
    assert (np.sign(wanted) == [[-1, 1, -1]]).all()


@codecs
@given(LENGTHS, LENGTHS, st.integers(0, 999), st.integers(1, 9), st.integers(1, 30))
@calm
def test_the_size_of_a_tile_changes_nothing(name, lengths_q, lengths_d, seed, tokens, columns):
    queries, documents = states(lengths_q, seed), states(lengths_d, seed + 1)
    whole = late(queries, documents, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maxsim, "TILE_TOKENS", tokens)
        patch.setattr(maxsim, "TILE_COLUMNS", columns)
        np.testing.assert_allclose(late(queries, documents, name), whole, atol=1e-6)


@codecs
@given(LENGTHS, LENGTHS, st.integers(0, 999))
@calm
def test_the_order_and_repetition_of_tokens_change_nothing(name, lengths_q, lengths_d, seed):
    rng = np.random.default_rng(seed)
    queries, documents = states(lengths_q, seed), states(lengths_d, seed + 1)
    whole = late(queries, documents, name)
    shuffled = [rng.permutation(query) for query in queries], [rng.permutation(rows) for rows in documents]
    doubled = [np.concatenate([query, query]) for query in queries], [np.repeat(rows, 3, 0) for rows in documents]
    np.testing.assert_allclose(late(*shuffled, name), whole, atol=1e-6)
    np.testing.assert_allclose(late(*doubled, name), whole, atol=1e-6)


@codecs
@given(st.integers(2, 9), st.integers(2, 9), st.integers(0, 999), st.data())
@calm
def test_a_segment_cut_in_two_scores_as_its_halves_say(name, n_query, n_document, seed, data):
    [query], [document] = states([n_query], seed), states([n_document], seed + 1)
    at = data.draw(st.integers(1, n_document - 1))
    whole, left, right = late([query], [document, document[:at], document[at:]], name)[0]
    assert max(left, right) <= whole + 1e-6
    tokens = late([query[i : i + 1] for i in range(n_query)], [document[:at], document[at:]], name)
    np.testing.assert_allclose(tokens.max(axis=1).mean(), whole, atol=1e-6)
    at = data.draw(st.integers(1, n_query - 1))
    first, second = late([query[:at], query[at:]], [document], name)[:, 0]
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
