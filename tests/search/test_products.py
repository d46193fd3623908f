"""Digits and integer products against float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_making import pack

from smart_jobs import codec
from smart_jobs.search import products

calm = settings(max_examples=60, deadline=None)


def rows(m, dim, seed):
    random = np.random.default_rng(seed)
    return codec.unit(random.standard_normal((m, dim)) * random.choice([1, 1e-2, 1e-5], dim))


@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 999))
@calm
def test_digits_make_up_the_number_to_half_a_step_of_the_last(m, dim, seed):
    values = rows(m, dim, seed)
    digits, steps = (part.cpu().numpy().astype(np.float64) for part in products.split(values))
    made = steps[:, None] * (digits[0] + digits[1] / 256 + digits[2] / 65536)
    assert (np.abs(made - values) <= 1.0001 * steps[:, None] / 131072).all()
    np.testing.assert_allclose(products.lost(values), np.linalg.norm(values - steps[:, None] * digits[0], axis=1))
    assert (products.lost(values) <= 0.502 * steps * np.sqrt(dim)).all()


def test_a_digit_that_would_be_128_is_carried():
    values = np.array([[127, 0.5, -0.5, 128 / 65536, -128 / 65536, 126.99999, -126.99999, -127, 0]], np.float32)
    digits, steps = (part.cpu().numpy().astype(np.float64) for part in products.split(values))
    np.testing.assert_allclose(digits[0] + digits[1] / 256 + digits[2] / 65536, values, atol=1 / 131072)
    assert steps.tolist() == [1]


@pytest.mark.parametrize("name", codec.FACTORS)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 70), st.integers(0, 999))
@calm
def test_no_decoded_state_is_longer_than_said(name, m, n, dim, seed):
    documents = [rows(m, dim, seed), rows(n, dim, seed + 1)]
    found = [codec.decode(codec.encode(part, name), *part.shape, name) for part in documents]
    norms = np.linalg.norm(np.concatenate(found).astype(np.float64), axis=1)
    assert (norms <= products.lengths(pack(documents, name).factors, dim, name) * (1 + 1e-6)).all()


@pytest.mark.parametrize("name", codec.FACTORS)
@given(st.integers(1, 9), st.integers(1, 70), st.integers(0, 999))
@calm
def test_integers_times_their_factor_are_what_is_decoded(name, n, dim, seed):
    document = rows(n, dim, seed)
    packed = pack([document], name)
    codes = codec.integers(packed.rows, name)[:, :dim]
    found = packed.factors.astype(np.float32)[:, None] * codes.astype(np.float32)
    np.testing.assert_array_equal(found, codec.decode(codec.encode(document, name), n, dim, name))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(0, 999))
@calm
def test_what_cuda_wants_of_a_product_changes_nothing(t, width, columns, seed):
    """torch._int_mm takes more than 16 rows there, and dimensions that are multiples of 8. On one: tests/gpu."""
    random = np.random.default_rng(seed)
    left, right = (
        torch.from_numpy(random.integers(-128, 128, shape, np.int8)) for shape in ((t, width), (width, columns))
    )
    asked = []

    def product(one, other):
        asked.append((*one.shape, *other.shape))
        return one.int() @ other.int()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "DEVICE", torch.device("cuda"))
        patch.setattr(torch, "_int_mm", product)
        found = products._whole(left, right, torch.empty((t, columns), dtype=torch.int32))
    np.testing.assert_array_equal(found.numpy(), left.numpy().astype(int) @ right.numpy().astype(int))
    [(rows_given, inner, same, given_columns)] = asked
    assert rows_given > 16
    assert inner == same
    assert inner % 8 == given_columns % 8 == 0


@pytest.mark.parametrize("name", codec.CODECS)
def test_without_integer_products_the_scores_are_the_same(name, monkeypatch):
    query, documents = rows(5, 67, 0), [rows(9, 67, 1)]
    wanted = _products(query, documents, name)
    monkeypatch.setattr(products, "WHOLE", False)
    np.testing.assert_allclose(_products(query, documents, name), wanted, atol=1e-6)


def _products(query, documents, name):
    tokens, packed = products.tokens(query, name), pack(documents, name)
    part = products.tile(packed, 0, len(packed.rows))
    space = products.Space.of(len(packed.rows) * tokens.columns.shape[1], name)
    return (products.product(part, tokens, space) * tokens.steps).cpu().numpy()
