"""Pooling and kept states, against a loop over rows and tokens."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_jobs.encode import readout
from smart_jobs.encode.readout import pool
from smart_jobs.records import AssetError, Embedding

DIM = 5


def embeddings(hidden, attended, keep, how):
    return readout.embeddings(readout.pool(hidden, attended, how), hidden, [row.numpy() for row in keep])


def batch(lengths, side, seed=0):
    """Random hidden states with NaN in the padding, and what is attended."""
    rng = np.random.default_rng(seed)
    longest = max(lengths)
    hidden = np.full((len(lengths), longest, DIM), np.nan, np.float32)
    attended = np.zeros((len(lengths), longest), bool)
    for row, n in enumerate(lengths):
        where = slice(0, n) if side == "right" else slice(longest - n, longest)
        hidden[row, where] = rng.normal(size=(n, DIM))
        attended[row, where] = True
    return torch.from_numpy(hidden), torch.from_numpy(attended)


def pooled_by_hand(hidden, attended, how):
    tokens = [hidden[t].numpy().astype(np.float64) for t in range(len(hidden)) if attended[t]]
    return {"mean": np.mean(tokens, axis=0), "cls": tokens[0], "last": tokens[-1]}[how]


def unit(vector):
    return vector / np.linalg.norm(vector)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.sampled_from(["left", "right"]), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("how", ["mean", "cls", "last"])
def test_pooling_equals_a_loop_whatever_the_padding(how, lengths, side, seed):
    hidden, attended = batch(lengths, side, seed)
    wanted = [pooled_by_hand(row, mask, how) for row, mask in zip(hidden, attended, strict=True)]
    np.testing.assert_allclose(pool(hidden, attended, how).numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize("how", ["mean", "cls", "last"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_embeddings_are_a_unit_vector_and_the_kept_tokens_as_they_are_in_order(how, side):
    hidden, attended = batch([4, 1, 7], side)
    keep = attended & (torch.arange(7) % 2 == 0)
    for row, result in enumerate(embeddings(hidden, attended, keep, how)):
        np.testing.assert_allclose(result.pooled, unit(pooled_by_hand(hidden[row], attended[row], how)), atol=1e-6)
        kept = [hidden[row, t].numpy() for t in range(7) if keep[row, t]] or [result.pooled]
        np.testing.assert_array_equal(result.states, kept)
        assert result.pooled.dtype == result.states.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(result.pooled), 1, atol=1e-6)


def test_a_row_that_keeps_no_token_has_its_pooled_vector_as_its_only_state():
    hidden, attended = batch([3, 2], "right")
    keep = attended.clone()
    keep[0] = False
    first, second = embeddings(hidden, attended, keep, "mean")
    np.testing.assert_array_equal(first.states, first.pooled[None, :])
    assert len(second.states) == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("how", ["mean", "cls", "last"])
def test_a_row_that_is_not_finite_is_an_error_and_its_neighbours_are_untouched(how, value):
    hidden, attended = batch([4, 4, 3], "right")
    good = embeddings(hidden, attended, attended, how)
    hidden[1, 2, 3] = value
    first, bad, third = embeddings(hidden, attended, attended, how)
    assert isinstance(bad, AssetError)
    assert (bad.reason, bad.step) == ("not_finite", "encode")
    for found, before in ((first, good[0]), (third, good[2])):
        assert isinstance(found, Embedding)
        np.testing.assert_array_equal(found.pooled, before.pooled)
        np.testing.assert_array_equal(found.states, before.states)


def test_half_precision_is_read_out_in_float32():
    hidden, attended = batch([4, 2], "right")
    for result, exact in zip(
        embeddings(hidden.bfloat16(), attended, attended, "mean"),
        embeddings(hidden.bfloat16().float(), attended, attended, "mean"),
        strict=True,
    ):
        np.testing.assert_array_equal(result.pooled, exact.pooled)
        assert result.states.dtype == np.float32
