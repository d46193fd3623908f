"""Products of unit vectors: right, and the same to the bit in any company."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_jobs import codec
from smart_jobs.search import exact


def units(n, dim, seed):
    random = np.random.default_rng(seed)
    return codec.unit(random.standard_normal((n, dim)) * random.choice([1, 1e-2, 1e-5], dim))


@pytest.mark.parametrize("dim", [1, 3, 384, 4096])
def test_products_are_those_of_float64(dim):
    one, other = units(5, dim, 0), units(70, dim, 1)
    wanted = one.astype(np.float64) @ other.astype(np.float64).T
    np.testing.assert_allclose(exact.products(one, other), wanted, atol=1e-7)


@given(st.integers(1, 40), st.integers(1, 300), st.integers(0, 99), st.data())
@settings(max_examples=40, deadline=None)
def test_a_product_does_not_depend_on_its_company(q, n, seed, data):
    one, other = units(q, 384, seed), units(n, 384, seed + 1)
    found = exact.products(one, other)
    rows = slice(*sorted(data.draw(st.tuples(st.integers(0, q), st.integers(0, q)))))
    columns = data.draw(st.permutations(range(n)))[: data.draw(st.integers(1, n))]
    np.testing.assert_array_equal(exact.products(one[rows], other[columns]), found[rows][:, columns])


def test_many_are_multiplied_in_blocks(monkeypatch):
    one, other = units(7, 16, 0), units(9, 16, 1)
    found = exact.products(one, other)
    monkeypatch.setattr(exact, "ROWS", 2)
    np.testing.assert_array_equal(exact.products(one, other), found)


def test_a_vector_of_zeros_is_at_right_angles_to_all():
    assert not exact.products(np.zeros((1, 4), np.float32), units(3, 4, 0)).any()
