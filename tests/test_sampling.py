"""Sizes, clips and frames: Qwen's own rule beside ours, and what must hold for any medium."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from qwen_vl_utils import vision_process as utilities
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize as published

from smart_jobs.records import AssetError
from smart_jobs.sampling import (
    Frames,
    Resize,
    Sampling,
    clips,
    frame_count,
    frame_size,
    frame_times,
    image_size,
    listed,
    listed_sizes,
    page_size,
    smart_resize,
    tokens,
)

QWEN3 = Sampling(
    image=(Resize(factor=32, min_pixels=4096, max_pixels=1_843_200),),
    video=Frames(factor=32, min_pixels=131_072, max_pixels=786_432, total_pixels=7_864_320),
)
SIDES = st.integers(1, 6000)
FACTORS = st.sampled_from([14, 28, 32])


def nearest(side, factor):
    """The multiple nearest to a side, brute force: the even one where two are as near, and never none."""
    best = min(range(side // factor + 2), key=lambda n: (abs(n * factor - side), n % 2))
    return max(1, best) * factor


@given(SIDES, SIDES, FACTORS, st.integers(1, 40), st.integers(41, 3000))
def test_smart_resize(height, width, factor, least, most):
    assume(max(height, width) <= 200 * min(height, width))
    low, high = least * factor**2, most * factor**2
    found = smart_resize(height, width, factor, low, high)
    area = math.prod(found)
    assert all(side % factor == 0 and side >= factor for side in found)
    rounded = nearest(height, factor), nearest(width, factor)
    if low <= math.prod(rounded) <= high:
        assert found == rounded
    elif math.prod(rounded) > high:
        assert area <= high or factor in found
        if height * width > high:  # a strip thinner than a token is widened by the published formula, too
            assert all(side <= before for side, before in zip(found, (height + factor, width + factor), strict=True))
    else:
        assert area >= low
    if min(height, width) * 2 > factor:  # there transformers rounds a side to nothing, qwen_vl_utils does not
        assert found == published(height, width, factor, low, high)


@pytest.mark.parametrize(
    ("size", "resized"),
    [((10, 1000), (32, 992)), ((1000, 10), (992, 32)), ((1, 200), (32, 192)), ((16, 3200), (32, 3200))],
)
def test_a_thin_strip_keeps_a_row_of_tokens(size, resized):
    assert smart_resize(*size, 32, 4096, 1_843_200) == resized


@pytest.mark.parametrize("size", [(1, 201), (40_201, 200)])
def test_too_thin_a_strip(size):
    with pytest.raises(AssetError, match=r"unsupported: .* too thin"):
        smart_resize(*size, 32, 4096, 1_843_200)
    assert image_size(*size, [Resize(how="squash", factor=16, height=384, width=384)]) == (384, 384)


@pytest.mark.parametrize(
    ("points", "size", "count"),
    [((612, 792), (1536, 1184), 1776), ((595.276, 841.89), (1600, 1120), 1750), ((1, 1), (64, 64), 4)],
)
def test_a_page(points, size, count):
    assert page_size(*points, QWEN3) == size
    assert tokens(*size, 32) == count


def test_resizes_one_after_another():
    budgets = (3136, 12_845_056), (200_704, 1_003_520)
    gme = tuple(Resize(factor=28, min_pixels=least, max_pixels=most) for least, most in budgets)
    letter = page_size(612, 792, Sampling(image=gme))
    assert letter == (1120, 868)
    assert tokens(*letter, 28) == 1240
    assert image_size(480, 640, [Resize(how="crop", factor=32, height=224, width=224)]) == (224, 224)
    assert image_size(480, 640, []) == (480, 640)


@given(st.floats(0.01, 500), st.one_of(st.none(), st.floats(2, 600)))
def test_clips_follow_each_other(duration, seconds):
    spans = clips(duration, Frames(clip_seconds=seconds))
    assert spans[0][0] == 0
    assert spans[-1][1] == duration
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
    if seconds is not None:
        assert all(start == pytest.approx(index * seconds) for index, (start, _) in enumerate(spans))
        assert all(end - start == pytest.approx(seconds) for start, end in spans[:-1])
        assert spans[-1][1] - spans[-1][0] < 1.5 * seconds + 1e-6
        assert len(spans) == 1 or spans[-1][1] - spans[-1][0] >= 0.5 * seconds - 1e-6
    else:
        assert len(spans) == 1


@given(st.floats(0, 5000), st.floats(0.1, 30), st.integers(1, 8), st.integers(8, 64), st.integers(1, 4))
def test_frame_count(seconds, fps, least, most, multiple):
    policy = Frames(fps=fps, min_frames=least, max_frames=most, multiple=multiple)
    count = frame_count(seconds, policy)
    assert count % multiple == 0
    assert multiple <= count <= most
    low, high = -(-least // multiple) * multiple, most // multiple * multiple
    assert count == min(high, max(low, math.floor(seconds * fps / multiple) * multiple))
    assert least <= frame_count(seconds, policy.model_copy(update={"as_images": True})) <= most


@pytest.mark.parametrize(("seconds", "count"), [(60, 60), (600, 64), (0, 2), (3.5, 2), (5, 4)])
def test_frames_of_a_minute(seconds, count):
    assert frame_count(seconds, QWEN3.video) == count


@given(st.floats(0, 100), st.floats(0, 100), st.integers(2, 64))
def test_times_are_spread_evenly(first, length, count):
    times = frame_times(first, first + length, count)
    assert len(times) == count
    assert (times[0], times[-1]) == (first, first + length)
    assert all(b - a == pytest.approx(length / (count - 1), abs=1e-9) for a, b in itertools.pairwise(times))
    assert frame_times(first, first + length, 1) == [pytest.approx(first + length / 2)]


@pytest.mark.parametrize(
    ("count", "size"),
    [(64, (352, 640)), (20, (640, 1152)), (2, (640, 1152)), (1000, (256, 480))],
)
def test_frame_size(count, size):
    found = frame_size(720, 1280, count, QWEN3.video)
    cap = max(min(786_432, 7_864_320 / count * 2), 137_625)
    assert found == size == published(720, 1280, 32, 131_072, cap)


def test_tokens_of_a_video():
    assert tokens(352, 640, 32, 64, 2) == 32 * 11 * 20
    assert tokens(32, 32, 32, 3, 2) == 2


# Videos that come as pictures


@given(st.integers(1, 300), st.integers(1, 80))
def test_too_many_pictures_are_thinned_as_by_reference_evaluators(count, most):
    frames = Frames(max_frames=most)
    places = range(count) if count <= most else np.linspace(0, count - 1, most, dtype=int).tolist()
    assert listed(count, frames) == list(places)
    assert listed(count, frames.model_copy(update={"as_images": True, "max_frames": 1})) == [count // 2]


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 64))
def test_the_sizes_of_pictures_are_those_of_qwens_utilities(height, width, count):
    """Written down from `fetch_video` of 0.0.14: each through `fetch_image` with 32 for a patch, then all together."""
    assume(max(height, width) <= 200 * min(height, width))
    first = utilities.smart_resize(height, width, 64, 4 * 64**2, 16384 * 64**2)
    frames = utilities.ceil_by_factor(count, 2)
    most = max(min(768 * 32**2, 7_864_320 / frames * 2), int(128 * 32**2 * 1.05))
    assume(min(first) > 0)
    last = utilities.smart_resize(*first, 32, 128 * 32**2, most)
    assume(min(last) > 0)  # it rounds a thin strip to nothing
    assert listed_sizes(height, width, frames, QWEN3.video) == [first, last]


def test_a_model_without_that_budget_has_pictures_at_their_size_at_once():
    qwen2 = Frames(factor=28, min_pixels=3136, max_pixels=1_003_520)
    assert listed_sizes(360, 640, 8, qwen2) == [frame_size(360, 640, 8, qwen2)] == [(364, 644)]
