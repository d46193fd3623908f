"""Masks and codecs applied to stored states: what encoding with them would have stored."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_making import pack

from smart_jobs import codec
from smart_jobs.lake import reshaped
from smart_jobs.lake.states import Ragged
from smart_jobs.records import JobError

DIM = 12
calm = settings(max_examples=40, deadline=None)


def states(lengths, seed):
    random = np.random.default_rng(seed)
    return [codec.unit(random.standard_normal((n, DIM))) for n in lengths]


def same(found, wanted):
    assert (found.codec, found.dim) == (wanted.codec, wanted.dim)
    for name in ("factors", "rows", "offsets"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


@pytest.mark.parametrize("name", codec.CODECS)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.integers(0, 999))
@calm
def test_a_mask_leaves_what_encoding_with_it_would_have_stored(name, lengths, seed):
    documents, random = states(lengths, seed), np.random.default_rng(seed)
    pooled = codec.unit(random.standard_normal((len(lengths), DIM)))
    kept = [random.random(n) < random.choice([0.0, 0.5, 1.0]) for n in lengths]
    left = [
        rows[keep] if keep.any() else pooled[[i]] for i, (rows, keep) in enumerate(zip(documents, kept, strict=True))
    ]
    same(reshaped.masked(pack(documents, name), kept, pooled), pack(left, name))
    values = Ragged(np.concatenate(documents), np.cumsum([0, *lengths]))
    found = reshaped.masked_values(values, kept, pooled)
    np.testing.assert_array_equal(found.values, np.concatenate(left))
    np.testing.assert_array_equal(found.offsets, np.cumsum([0, *map(len, left)]))


PAIRS = [(one, other) for i, one in enumerate(codec.CODECS) for other in codec.CODECS[i:]]


@pytest.mark.parametrize(("stored", "to"), PAIRS)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 999))
@calm
def test_a_coarser_codec_is_that_of_what_is_decoded(stored, to, lengths, seed):
    documents = states(lengths, seed)
    decoded = [codec.decode(codec.encode(rows, stored), *rows.shape, stored) for rows in documents]
    wanted = pack(documents, stored) if stored == to else pack(decoded, to)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reshaped, "ROWS", 4)
        same(reshaped.recoded(pack(documents, stored), to), wanted)


def test_a_finer_codec_is_refused_in_one_line():
    with pytest.raises(JobError, match=r"^codec=bf16: the states of this segment are stored as int8, which is coarser"):
        reshaped.recoded(pack(states([2], 0), "int8"), "bf16")
