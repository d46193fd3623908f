"""The late score taken apart: against a double loop, against the score that search gives, and place by place."""

import math

import numpy as np
import pytest
import tiny_vl
from hypothesis import given
from hypothesis import strategies as st
from lake_making import pack
from seeing import clip, loaded, picture, segment

from smart_jobs import codec, masks
from smart_jobs.records import JobError, Visual
from smart_jobs.search import explain, maxsim
from smart_jobs.search.explain import Side, Token

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 12), st.integers(0, 2**32 - 1))
FRAMED = ("qwen3_vl", "vlm2vec")
"""The families that read videos as videos."""


def states(count, dim, random):
    return random.standard_normal((count, dim)).astype(np.float32)


@given(SHAPES)
def test_every_query_token_meets_the_document_token_with_the_greatest_cosine(shape):
    m, n, dim, seed = shape
    random = np.random.default_rng(seed)
    query, document = states(m, dim, random) * 3, codec.unit(states(n, dim, random))
    met = explain.met(query, document)
    for i in range(m):
        cosines = [float(query[i] @ row / np.linalg.norm(query[i])) for row in document.astype(np.float64)]
        np.testing.assert_allclose(met.cosines[i], cosines, atol=1e-6)
        assert met.maxima[i] == max(met.cosines[i])
        assert met.best[i] == met.cosines[i].tolist().index(met.maxima[i])


@given(SHAPES, st.sampled_from(codec.CODECS))
def test_the_mean_of_the_maxima_is_the_late_score(shape, kind):
    m, n, dim, seed = shape
    random = np.random.default_rng(seed)
    query, document = states(m, dim, random), states(n, dim, random)
    late = float(maxsim.late(maxsim.ragged([codec.unit(query)]), pack([document], kind))[0, 0])
    stored = codec.decode(codec.encode(document, kind), n, dim, kind)
    met = explain.met(query, stored)
    assert met.late == pytest.approx(late, abs=2e-6 * max(1.0, float(np.abs(stored).max()) * dim))
    assert met.late == pytest.approx(met.maxima.mean())
    assert met.adds.sum() == pytest.approx(met.late, abs=1e-9)
    assert met.received.sum() == pytest.approx(met.late, abs=1e-9)
    for at in range(n):
        assert met.received[at] == pytest.approx(sum(met.adds[met.best == at]), abs=1e-12)


def test_of_equally_near_tokens_the_first_is_met():
    row = np.array([[0.6, 0.8]], np.float32)
    assert explain.met(row, np.repeat(row, 3, axis=0)).best.tolist() == [0]


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)), max_size=3), st.integers(0, 4))
def test_patches_stand_visual_by_visual_frame_by_frame_and_row_by_row(grids, words):
    cells = [(at, t, h, w) for at, grid in enumerate(grids)
             for t in range(grid[0]) for h in range(grid[1]) for w in range(grid[2])]  # fmt: skip
    kinds = np.array([masks.TEXT] * words + [masks.IMAGE] * len(cells) + [masks.TEMPLATE], np.uint8)
    side = Side(len(kinds), kinds, tuple(grids))
    assert [tuple(place) for place in side.places().tolist()] == [(-1,) * 4] * words + cells + [(-1,) * 4]
    values = np.arange(len(kinds), dtype=float)
    found = explain.maps(values, side)
    assert len(found) == len(grids)
    for number, (at, t, h, w) in enumerate(cells):
        assert found[at][t, h, w] == words + number


def test_patches_that_are_no_states_have_no_place_and_no_map():
    side = Side(2, np.array([masks.TEXT, masks.TEXT], np.uint8), ((1, 2, 2),), words=("a", " b"))
    assert (side.places() == -1).all()
    assert explain.maps(np.zeros(2), side) == []
    assert [token.name for token in explain.tokens(side)] == ["a", "b"]


def test_grids_that_do_not_fit_are_said():
    side = Side(3, np.full(3, masks.IMAGE, np.uint8), ((1, 2, 2),))
    with pytest.raises(JobError, match="3 patches in grids of 4; run `smart-jobs verify`"):
        side.places()


def test_tokens_are_named_by_their_words_or_where_they_lie():
    kinds = np.array([masks.TEMPLATE, *[masks.VIDEO] * 4, masks.TEXT], np.uint8)
    side = Side(6, kinds, ((2, 1, 2),), (0.0, 0.5, 1.0, 1.5), ("\n", "", "", "", "", " sea"))
    found = explain.tokens(side)
    assert [token.name for token in found] == [
        r"'\n'", "frame 1 (0.0 s), row 1, column 1", "frame 1 (0.0 s), row 1, column 2",
        "frame 2 (1.0 s), row 1, column 1", "frame 2 (1.0 s), row 1, column 2", "sea",
    ]  # fmt: skip
    assert found[4] == Token(4, "video", None, 1, 2, 1, 2, 1.0, 1.5)
    assert found[5] == Token(5, "text", " sea")
    images = Side(2, np.full(2, masks.IMAGE, np.uint8), ((1, 1, 1), (1, 1, 1)))
    assert [token.name for token in explain.tokens(images)] == ["row 1, column 1", "image 2, row 1, column 1"]


def test_without_kinds_or_words_there_are_numbers():
    assert [token.name for token in explain.tokens(Side(2))] == ["state 0", "state 1"]
    assert explain.tokens(Side(1, np.array([masks.TEXT], np.uint8))) == [Token(0, "text")]


@pytest.mark.parametrize(
    ("count", "frames", "wanted"),
    [(4, 2, [(0.0, 1.0), (2.0, 3.0)]), (3, 2, [(0.0, 1.0), (2.0, 2.0)]), (1, 1, [(0.0, 0.0)]), (2, 1, [(0.0, 1.0)])],
)
def test_a_frame_of_the_grid_lasts_from_the_first_to_the_last_that_it_is_made_of(count, frames, wanted):
    side = Side(1, None, ((frames, 1, 1),), tuple(map(float, range(count))))
    assert [side.seconds(frame) for frame in range(frames)] == wanted


def test_of_two_visuals_it_cannot_be_told_whose_times_they_are():
    assert Side(1, None, ((1, 1, 1), (1, 1, 1)), (0.0,)).seconds(0) is None


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    """Each family's tiny encoder, loaded when it is first asked for."""
    made = {}

    def of(family):
        if family not in made:
            folder = tiny_vl.checkpoint(tmp_path_factory.mktemp("tiny") / family, family)
            made[family] = loaded(folder, family)
        return made[family]

    return of


def moved(model, visual, side):
    """(p, p): how far the state of each patch moves where the pixels of each patch are inverted, and the grid.

    `visual` is cut into squares of `side` pixels, two frames of a video deep, in the order of `Side.places`. What a
    state moves is relative to what it moves at all: some are moved by everything.
    """
    frames, height, width, _ = visual.pixels.shape
    deep = -(-frames // 2)
    boxes = [
        (slice(2 * t, 2 * t + 2), slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side))
        for t, row, column in np.ndindex(deep, height // side, width // side)
    ]
    items = [visual]
    for box in boxes:
        pixels = visual.pixels.copy()
        pixels[box] = 255 - pixels[box]
        items.append(Visual(visual.kind, pixels, visual.times))
    before, *after = model.encode([segment("", [item]) for item in items])
    described = Side(len(before.states), before.kinds, before.grids, before.times)
    assert (described.visual().sum(), described.grids[0]) == (len(boxes), (deep, height // side, width // side))
    own = [codec.unit(result.states)[described.visual()] for result in (before, *after)]
    by = np.stack([((states - own[0]) ** 2).sum(axis=1) for states in own[1:]])
    return by / by.mean(axis=0), described.grids[0]


def other_orders(grid):
    """The numbers of the patches, were they laid out otherwise: from below, from the right, column by column …"""
    whole = np.arange(math.prod(grid)).reshape(grid)
    for axes in ((0,), (1,), (2,), (1, 2), (0, 1, 2)):
        yield np.flip(whole, axes).ravel()
    for axes in ((0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 1, 0)):
        yield whole.transpose(axes).ravel()


def stand_where_their_pixels_are(model, visual, side):
    by, grid = moved(model, visual, side)
    for order in other_orders(grid):
        elsewhere = order != np.arange(len(order))
        if elsewhere.any():
            assert np.diagonal(by)[elsewhere].sum() > 1.2 * by[np.arange(len(order)), order][elsewhere].sum()


@pytest.mark.parametrize("family", [name for name in (*tiny_vl.BUILDERS, "lamra") if name != "text"])
def test_patches_stand_where_their_pixels_are(families, family):
    """In every family: what is painted over moves the state of its own patch most, and no other layout fits as well."""
    model = families(family)
    last = model.spec.sampling.image[-1]
    size = (last.height, last.width) if last.how != "budget" else (3 * last.factor, 4 * last.factor)
    stand_where_their_pixels_are(model, picture(*size), last.factor)


@pytest.mark.parametrize("family", FRAMED)
def test_patches_of_a_video_stand_in_their_frame(families, family):
    model = families(family)
    side = model.spec.sampling.video.factor
    stand_where_their_pixels_are(model, clip(6, 2 * side, 2 * side), side)


@pytest.mark.parametrize("family", [*tiny_vl.BUILDERS, "lamra"])
def test_words_are_what_a_token_was_made_of(families, tmp_path, family):
    """The words of a prompt, one behind the other, are its text; those of the segment say what the segment says."""
    model = families(family)
    text = "the second use\nof the sea"
    prompt = model.prompt(segment(text))
    words = prompt.words()
    assert len(words) == len(prompt.ids) == len(prompt.kinds)
    said = "".join(word for word, kind in zip(words, prompt.kinds, strict=True) if kind == masks.TEXT)
    assert said.strip() == text
    assert "".join(words) == prompt.text
    assert math.prod(prompt.spans.shape) == 2 * len(prompt.ids)
