"""Bytes of states: exactly the layout of the docstring, and back within each codec's bound."""

import struct

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from lake_making import pack

from smart_jobs import codec
from smart_jobs.search import maxsim

SHAPES = st.tuples(st.integers(1, 8), st.integers(1, 19))
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)
EPS = float(np.finfo(np.float32).eps)
MAX = float(np.finfo(np.float32).max)
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)
HALF = 2.0**-11
"""How far float16 may be from what it rounds, relatively."""

arrays = hnp.arrays(np.float32, SHAPES, elements=FLOATS)
calm = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no fault of a codec."""

codecs = pytest.mark.parametrize("name", codec.CODECS)


def same_bits(one, other):
    return np.array_equal(one.view(np.int32), other.view(np.int32))


def exact(rows):
    """Rows of norm 1 in float64, however large or small they are; zeros stay."""
    rows = rows.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)


def decoded(states, name):
    return codec.decode(codec.encode(states, name), *states.shape, name)


def bounds(states, name):
    """How far each decoded row may lie from the unit vector, as a Euclidean distance (n,)."""
    unit, dim = exact(states), states.shape[1]
    largest = np.abs(unit).max(axis=1)
    if name in ("int8", "int4"):
        levels = codec.LEVELS[name]
        off = largest * (HALF if name == "int4" else EPS)  # the scale is rounded too, and `levels` times over at most
        bound = np.sqrt(dim) * (largest / levels / 2 * 1.001 + off)
    elif name == "bf16":
        norms = np.linalg.norm(states.astype(np.float64), axis=1)
        moved = norms / 256 + np.sqrt(dim) * 2.0**-134  # half a step of 8 bits, and half the smallest bf16
        bound = np.where(norms > 0, 2 * moved / np.maximum(norms, SMALLEST), 0)  # |x/|x| - y/|y|| <= 2|x - y|/|x|
    elif name == "binary":
        sums = np.abs(unit).sum(axis=1)
        bound = np.where(sums > 0, np.sqrt(np.maximum(dim / np.where(sums > 0, sums, 1) ** 2 - 1, 0)), 0)
    else:
        bound = np.zeros(len(states))
    return bound + 4 * EPS * np.sqrt(dim)


@calm
@given(arrays)
@example(np.zeros((2, 3), np.float32))
@example(np.full((1, 1), SMALLEST, np.float32))
@example(np.array([[SMALLEST, SMALLEST], [MAX, -MAX], [3e-20, 1e-38]], np.float32))
def test_unit_gives_norm_one_to_any_row_and_twice_is_once(states):
    found = codec.unit(states)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact(states), atol=2 * EPS)
    assert same_bits(codec.unit(found), found)


@pytest.mark.parametrize("dim", [384, 4096, 8192])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_unit_twice_is_once_at_any_width(dim, size):
    random = np.random.default_rng(dim)
    rows = np.concatenate([random.standard_normal((200, dim)), random.standard_cauchy((200, dim)), np.ones((1, dim))])
    found = codec.unit((rows * size).astype(np.float32))
    assert same_bits(codec.unit(found), found)
    np.testing.assert_allclose(np.linalg.norm(found.astype(np.float64), axis=1), 1, atol=2e-6)


@calm
@given(arrays)
def test_float32_keeps_unit_vectors_bit_for_bit(states):
    assert same_bits(decoded(states, "float32"), codec.unit(states))


@codecs
@calm
@given(arrays)
@example(np.zeros((3, 5), np.float32))
@example(np.full((2, 1), SMALLEST, np.float32))
@example(np.array([[MAX, -MAX, 0], [190 * SMALLEST, -SMALLEST, 0], [1e-42, 0, MAX]], np.float32))
def test_a_state_comes_back_within_its_codecs_bound(name, states):
    found = decoded(states, name)
    assert (found.shape, found.dtype) == (states.shape, np.float32)
    away = np.linalg.norm(found - exact(states), axis=1)
    assert (away <= bounds(states, name)).all(), (away, bounds(states, name))


@calm
@given(arrays, st.sampled_from([("int8", 0.0), ("int4", HALF)]))
def test_no_element_is_off_by_more_than_half_a_step(states, kind):
    name, rounding = kind
    unit = exact(states)
    largest = np.abs(unit).max(axis=1, keepdims=True)
    step = largest / codec.LEVELS[name] * (1 + rounding)
    assert (np.abs(decoded(states, name) - unit) <= step / 2 + 4 * EPS * largest).all()


@calm
@given(arrays)
def test_a_binary_state_has_dot_product_one_with_itself_and_one_size(states):
    found, unit = decoded(states, "binary").astype(np.float64), exact(states)
    filled = np.abs(unit).max(axis=1) > 0
    np.testing.assert_allclose((found * unit).sum(axis=1), filled, atol=1e-5)
    assert (found * codec.unit(states) >= 0).all()
    np.testing.assert_array_equal(np.abs(found), np.broadcast_to(np.abs(found[:, :1]), found.shape))


@pytest.mark.parametrize("cosine", [-0.5, 0.0, 0.3, 0.8])
def test_binary_is_unbiased_where_no_direction_is_special(cosine):
    """A query and a state at a given angle, turned at random together: the dot product is right on average."""
    random = np.random.default_rng(5)
    dim, count = 64, 100_000
    states = codec.unit(random.standard_normal((count, dim)))
    aside = random.standard_normal((count, dim))
    aside = codec.unit(aside - states * np.vecdot(aside, states)[:, None])
    queries = cosine * states + np.sqrt(1 - cosine**2) * aside
    found = np.vecdot(queries, decoded(states, "binary"))
    assert abs(found.mean() - cosine) < 5 * found.std() / np.sqrt(count)
    assert found.std() < 1.5 / np.sqrt(dim)


@calm
@given(hnp.arrays(np.float32, SHAPES, elements=FLOATS))
def test_bf16_rounds_as_torch_does_and_overflows_to_the_largest(states):
    stored = np.frombuffer(codec.encode(states, "bf16"), "<u2")
    largest = torch.finfo(torch.bfloat16).max
    wanted = torch.from_numpy(states).clamp(-largest, largest).bfloat16().view(torch.uint16).numpy()
    np.testing.assert_array_equal(stored, wanted.ravel())


@calm
@given(hnp.arrays(np.uint16, SHAPES))
def test_bf16_of_a_bf16_model_is_bit_exact(bits):
    raw = torch.from_numpy(np.where(bits & 0x7F80 == 0x7F80, bits & 0x8000, bits)).view(torch.bfloat16)
    states = raw.float().numpy()
    data = codec.encode(states, "bf16")
    assert data == raw.view(torch.uint16).numpy().astype("<u2").tobytes()
    assert same_bits(codec.decode(data, *states.shape, "bf16"), codec.unit(states))


@codecs
@calm
@given(arrays)
def test_neighbours_change_nothing(name, states):
    alone = [decoded(states[i : i + 1], name) for i in range(len(states))]
    assert same_bits(np.concatenate(alone), decoded(states, name))


@codecs
@calm
@given(arrays)
def test_size_says_how_many_bytes_encode_gives(name, states):
    assert codec.size(*states.shape, name) == len(codec.encode(states, name))


def test_the_sizes_at_384_dimensions():
    assert [codec.size(1, 384, name) for name in codec.CODECS] == [1536, 768, 388, 194, 52]
    assert 1536 / codec.size(1, 384, "binary") > 28


@calm
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99), st.sampled_from(codec.CODECS))
def test_a_late_score_is_off_by_no_more_than_its_tokens(n_query, n_documents, seed, name):
    random = np.random.default_rng(seed)
    query = codec.unit(random.standard_normal((n_query, 24)))
    documents = [
        random.standard_normal((int(random.integers(1, 9)), 24)).astype(np.float32) for _ in range(n_documents)
    ]
    found = maxsim.late(maxsim.ragged([query]), pack(documents, name))[0]
    wanted = [(query.astype(np.float64) @ exact(rows).T).max(axis=1).mean() for rows in documents]
    assert (np.abs(found - wanted) <= [bounds(rows, name).max() + 1e-5 for rows in documents]).all()


@codecs
def test_zeros_come_back_as_zeros_and_cost_their_neighbours_nothing(name):
    states = np.array([[0, 0, 0], [1, 0, -1], [0, 0, 0]], np.float32)
    found = decoded(states, name)
    assert not found[[0, 2]].any()
    assert same_bits(found[1:2], decoded(states[1:2], name))


UNITS = np.array([[0.6, -0.8, 0.0], [-0.48, 0.36, 0.8]], np.float32)


def test_float32_is_little_endian_row_by_row():
    assert codec.encode(UNITS, "float32") == struct.pack("<6f", 0.6, -0.8, 0.0, -0.48, 0.36, 0.8)


def test_bf16_is_the_upper_half_of_what_the_model_gave():
    states = np.array([[1.5, -2.0, 3.25], [4.0, 0.0, -6.5]], np.float32)
    assert codec.encode(states, "bf16") == struct.pack("<6H", 0x3FC0, 0xC000, 0x4050, 0x4080, 0, 0xC0D0)


def test_int8_is_all_scales_then_all_codes_row_by_row():
    scales = struct.pack("<2f", np.float32(0.8) / 127, np.float32(0.8) / 127)
    codes = struct.pack("<6b", 95, -127, 0, -76, 57, 127)  # 0.6 · 127 / 0.8 = 95.25, 0.48: 76.2, 0.36: 57.15
    assert codec.encode(UNITS, "int8") == scales + codes


def test_int4_is_all_scales_then_two_codes_a_byte_first_half_below():
    scales = struct.pack("<2e", 0.8 / 7, 0.8 / 7)
    # 0.6 · 7 / 0.8 = 5.25, 0.48: 4.2, 0.36: 3.15; dimensions 0 and 2 share a byte, 1 has one of its own
    codes = bytes([5 | 0 << 4, 16 - 7, (16 - 4) | 7 << 4, 3])
    assert codec.encode(UNITS, "int4") == scales + codes


def test_binary_is_all_factors_then_signs_from_the_highest_bit():
    factors = struct.pack("<2f", 1 / 1.4, 1 / 1.64)
    found = codec.encode(UNITS, "binary")
    np.testing.assert_allclose(np.frombuffer(found[:8], "<f4"), struct.unpack("<2f", factors), rtol=2 * EPS)
    assert found[8:] == bytes([0b10100000, 0b01100000])


@codecs
def test_memory_order_and_byte_order_of_the_input_do_not_matter(name):
    states = np.arange(12, dtype=np.float32).reshape(3, 4)
    expected = codec.encode(states, name)
    assert codec.encode(np.asfortranarray(states), name) == expected
    assert codec.encode(states.astype(">f4"), name) == expected
    assert codec.encode(np.repeat(states, 2, axis=1)[:, ::2], name) == expected


@codecs
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(name, bad):
    states = np.ones((2, 3), np.float32)
    states[1, 2] = bad
    with pytest.raises(ValueError, match="expected finite"):
        codec.encode(states, name)


@codecs
@pytest.mark.parametrize("shape", [(3,), (1, 2, 3), ()])
def test_another_shape_is_refused(name, shape):
    with pytest.raises(ValueError, match="found shape"):
        codec.encode(np.ones(shape, np.float32), name)


@codecs
@pytest.mark.parametrize("off", [-1, 1])
def test_another_length_is_refused(name, off):
    data = codec.encode(np.ones((2, 3), np.float32), name)
    wrong = data[:off] if off < 0 else data + b"\0"
    with pytest.raises(ValueError, match=rf"expected {len(data)} bytes, found {len(wrong)}"):
        codec.decode(wrong, 2, 3, name)


@codecs
def test_decoding_takes_a_view_of_bytes(name):
    data = codec.encode(UNITS, name)
    np.testing.assert_array_equal(codec.decode(memoryview(data), 2, 3, name), codec.decode(data, 2, 3, name))


@codecs
def test_decoding_into_an_array_fills_it_and_not_its_neighbours(name):
    data = codec.encode(UNITS, name)
    rows = np.full((4, 3), 7, np.float32)
    codec.decode_into(data, rows[1:3], name)
    np.testing.assert_array_equal(rows[1:3], codec.decode(data, 2, 3, name))
    np.testing.assert_array_equal(rows[[0, 3]], np.full((2, 3), 7))
    with pytest.raises(ValueError, match=f"expected .* bytes, found {len(data)}"):
        codec.decode_into(data, rows[1:4], name)
