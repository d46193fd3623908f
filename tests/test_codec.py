"""Bytes of states: exactly the layout of the docstring, and back within half a step."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smart_jobs import codec

SHAPES = st.tuples(st.integers(1, 8), st.integers(1, 12))
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)
EPS = float(np.finfo(np.float32).eps)
MAX = float(np.finfo(np.float32).max)
SMALLEST_STEP = float(np.finfo(np.float32).smallest_subnormal)

arrays = hnp.arrays(np.float32, SHAPES, elements=FLOATS)


def same_bits(one, other):
    return np.array_equal(one.view(np.int32), other.view(np.int32))


@given(arrays)
def test_float32_comes_back_bit_for_bit(states):
    data = codec.encode(states, "float32")
    found = codec.decode(data, *states.shape, "float32")
    assert same_bits(found, states)
    assert found.dtype == np.float32


@given(arrays)
def test_int8_is_off_by_no_more_than_half_a_step(states):
    found = codec.decode(codec.encode(states, "int8"), *states.shape, "int8")
    assert found.dtype == np.float32
    largest = np.abs(states.astype(np.float64)).max(axis=1, keepdims=True)
    # the scale is a float32 itself: off by half an ulp, 127 times over in the largest element
    bound = largest / 127 / 2 * (1 + 1e-6) + 2 * EPS * largest + 127 * SMALLEST_STEP
    assert (np.abs(found.astype(np.float64) - states) <= bound).all()


@given(hnp.arrays(np.float32, SHAPES, elements=st.floats(-8, 8, width=32)))
def test_int8_keeps_the_sign_and_the_largest_element(states):
    found = codec.decode(codec.encode(states, "int8"), *states.shape, "int8")
    assert (found * states >= 0).all()
    rows = np.arange(len(states))
    at = np.abs(states).argmax(axis=1)
    np.testing.assert_allclose(found[rows, at], states[rows, at], rtol=4 * EPS, atol=127 * SMALLEST_STEP)


@pytest.mark.parametrize("name", codec.CODECS)
def test_zeros_come_back_as_zeros(name):
    states = np.zeros((3, 5), np.float32)
    assert not codec.decode(codec.encode(states, name), 3, 5, name).any()


def test_a_row_of_zeros_costs_its_neighbours_nothing():
    states = np.array([[0, 0], [127, -64], [0, 0]], np.float32)
    np.testing.assert_array_equal(codec.decode(codec.encode(states, "int8"), 3, 2, "int8"), states)


@pytest.mark.parametrize("value", [MAX, -MAX, SMALLEST_STEP, 190 * SMALLEST_STEP, -200 * SMALLEST_STEP, 1e-42, 1e-38])
def test_int8_stays_finite_and_close_at_the_ends_of_float32(value):
    states = np.array([[value, 0, value / 2]], np.float32)
    found = codec.decode(codec.encode(states, "int8"), 1, 3, "int8")
    assert np.isfinite(found).all()
    assert np.abs(found.astype(np.float64) - states).max() <= abs(value) / 127 + 127 * SMALLEST_STEP


@given(arrays, st.sampled_from(codec.CODECS))
def test_size_says_how_many_bytes_encode_gives(states, name):
    assert codec.size(*states.shape, name) == len(codec.encode(states, name))


def test_float32_is_little_endian_row_by_row():
    states = np.array([[1.5, -2.0, 3.25], [4.0, 0.0, -6.5]], np.float32)
    assert codec.encode(states, "float32") == struct.pack("<6f", 1.5, -2.0, 3.25, 4.0, 0.0, -6.5)


def test_int8_is_all_scales_then_all_codes_row_by_row():
    states = np.array([[1.0, -0.5, 0.25], [-254.0, 100.0, 1.1]], np.float32)
    scales = struct.pack("<2f", 1 / 127, 2.0)
    codes = struct.pack("<6b", 127, -64, 32, -127, 50, 1)  # 0.5 · 127 = 63.5 and 0.25 · 127 = 31.75; 1.1 / 2 = 0.55
    assert codec.encode(states, "int8") == scales + codes


@pytest.mark.parametrize("name", codec.CODECS)
def test_memory_order_and_byte_order_of_the_input_do_not_matter(name):
    states = np.arange(12, dtype=np.float32).reshape(3, 4)
    expected = codec.encode(states, name)
    assert codec.encode(np.asfortranarray(states), name) == expected
    assert codec.encode(states.astype(">f4"), name) == expected
    assert codec.encode(np.repeat(states, 2, axis=1)[:, ::2], name) == expected


@pytest.mark.parametrize("name", codec.CODECS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(name, bad):
    states = np.ones((2, 3), np.float32)
    states[1, 2] = bad
    with pytest.raises(ValueError, match="expected finite"):
        codec.encode(states, name)


@pytest.mark.parametrize("name", codec.CODECS)
@pytest.mark.parametrize("shape", [(3,), (1, 2, 3), ()])
def test_another_shape_is_refused(name, shape):
    with pytest.raises(ValueError, match="found shape"):
        codec.encode(np.ones(shape, np.float32), name)


@pytest.mark.parametrize("name", codec.CODECS)
@pytest.mark.parametrize("off", [-1, 1])
def test_another_length_is_refused(name, off):
    data = codec.encode(np.ones((2, 3), np.float32), name)
    wrong = data[:off] if off < 0 else data + b"\0"
    with pytest.raises(ValueError, match=rf"expected {len(data)} bytes, found {len(wrong)}"):
        codec.decode(wrong, 2, 3, name)


def test_decoding_takes_a_view_of_bytes():
    states = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(codec.decode(memoryview(codec.encode(states, "int8")), 2, 3, "int8"), states)
