"""Visuals that are made to fit a window, and those that an encoder does not take."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seeing import clip, picture, segment

from smart_jobs.encode import visuals
from smart_jobs.encode.patches import Patching
from smart_jobs.encode.prompts import Prompt
from smart_jobs.records import AssetError

PATCHING = Patching(16, 2, 2, (0.5,) * 3, (0.5,) * 3)


def tokens(shown):
    return sum(math.prod(PATCHING.tokens(visual.pixels.shape)) for visual in shown)


SIDES = st.integers(1, 12).map(lambda n: 32 * n)
SHOWN = st.lists(
    st.one_of(st.builds(picture, SIDES, SIDES), st.builds(clip, st.integers(1, 5), SIDES, SIDES)), max_size=3
)


@given(SHOWN, st.integers(1, 300))
@settings(max_examples=60, deadline=None)
def test_what_fits_is_untouched_and_the_rest_is_made_to_fit_or_refused(shown, room):
    least = sum(PATCHING.tokens(visual.pixels.shape)[0] for visual in shown)
    if least > room:
        with pytest.raises(AssetError, match="too_long"):
            visuals.fitting(shown, PATCHING, room)
        return
    fitted = visuals.fitting(shown, PATCHING, room)
    assert tokens(fitted) <= room
    if tokens(shown) <= room:
        assert all(before is after for before, after in zip(shown, fitted, strict=True))
    for before, after in zip(shown, fitted, strict=True):
        assert (after.kind, after.times, len(after.pixels)) == (before.kind, before.times, len(before.pixels))
        assert all(side % 32 == 0 and 32 <= side <= old for side, old in
                   zip(after.pixels.shape[1:3], before.pixels.shape[1:3], strict=True))  # fmt: skip


def test_what_is_made_smaller_shows_the_same():
    [fitted] = visuals.fitting([picture(256, 256)], PATCHING, 16)
    assert fitted.pixels.shape == (1, 128, 128, 3)
    columns = fitted.pixels[0].mean(axis=(0, 2))
    assert columns[-1] - columns[0] > 100  # the slope from left to right is still there


@pytest.mark.parametrize(
    ("item", "taken", "said"),
    [
        (segment("a"), {}, None),
        (segment("a", [picture(), clip()]), {}, None),
        (segment("", [clip()]), {"videos": False}, "mine reads no videos"),
        (segment("", [picture()] * 2), {"images": 1}, "mine reads 1 image at a time, not 2"),
        (segment("", [picture()]), {"images": 1, "mixed": False, "videos": False}, None),
        (segment("a", [picture()]), {"mixed": False}, "mine reads a text or an image, not both at once"),
        (segment("a"), {"mixed": False, "images": 1}, None),
    ],
)
def test_what_an_encoder_does_not_take_is_unsupported(item, taken, said):
    if said is None:
        visuals.check(item, "mine", **taken)
        return
    with pytest.raises(AssetError) as caught:
        visuals.check(item, "mine", **taken)
    assert (caught.value.reason, caught.value.step, caught.value.detail) == ("unsupported", "encode", said)


@given(st.integers(1, 30), st.integers(4, 30), st.integers(0, 4))
def test_a_text_is_cut_before_its_tail(length, window, tail):
    prompt = Prompt(np.arange(length), np.zeros(length, np.uint8), np.zeros((length, 2), np.int64))
    cut = visuals.cut(prompt, window, min(tail, length)).ids.tolist()
    tail = min(tail, length)
    wanted = list(range(length)) if length <= window else [*range(window - tail), *range(length - tail, length)]
    assert cut == wanted
