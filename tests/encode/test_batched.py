"""Packed passes: what is bad costs its neighbours nothing, and what does not fit is halved."""

import numpy as np
import pytest
import tiny_vl
import torch
from seeing import clip, loaded, picture, segment

from smart_jobs import masks
from smart_jobs.encode.batched import Batched, attended, stack
from smart_jobs.encode.prompts import Prompt
from smart_jobs.records import AssetError, Embedding

DIM = 8


class Counting:
    """A model whose vectors follow from the ids alone; "bad" cannot be read, "nan" comes out so, `most` fit a pass."""

    def __init__(self, spec, most=10**6):
        self.spec, self.most, self.passes = spec, most, []

    def prompt(self, item):
        if "bad" in item.text:
            raise AssetError("unsupported", "said so", "encode")
        ids = np.frombuffer(item.text.encode(), np.uint8).astype(np.int64)
        return Prompt(ids, np.full(len(ids), masks.TEXT, np.uint8), np.zeros((len(ids), 2), np.int64))

    def forward(self, batch):
        self.passes.append(len(batch))
        if len(batch) > self.most or any(b"huge" in row.ids.astype(np.uint8).tobytes() for row in batch):
            raise torch.OutOfMemoryError
        states = torch.cos(stack([row.ids for row in batch], 0)[..., None] * torch.arange(1, DIM + 1) / 7)
        for row, made in zip(batch, states, strict=True):
            if b"nan" in row.ids.astype(np.uint8).tobytes():
                made[1] = torch.nan
        return torch.where(attended(batch)[..., None], states, 0).sum(1), states


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_vl.checkpoint(tmp_path_factory.mktemp("tiny") / "qwen3_vl", "qwen3_vl")


@pytest.fixture(scope="module")
def spec(folder):
    return loaded(folder, "qwen3_vl").spec


TEXTS = [f"number {i} of texts" + "." * (i % 5) for i in range(11)]


def equal(results, wanted):
    for result, other in zip(results, wanted, strict=True):
        assert isinstance(result, Embedding)
        np.testing.assert_allclose(result.pooled, other.pooled, atol=1e-6)
        np.testing.assert_allclose(result.states, other.states, atol=1e-6)


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_a_pass_that_does_not_fit_is_halved_until_it_does(spec, most):
    wanted = Batched(Counting(spec), 10**6).encode([segment(text) for text in TEXTS])
    model = Counting(spec, most)
    equal(Batched(model, 10**6).encode([segment(text) for text in TEXTS]), wanted)
    assert sum(n for n in model.passes if n <= most) == len(TEXTS)


@pytest.mark.parametrize("place", range(len(TEXTS)))
def test_one_that_does_not_fit_alone_is_the_only_failure(spec, place):
    texts = [*TEXTS[:place], "huge one", *TEXTS[place + 1 :]]
    wanted = Batched(Counting(spec), 10**6).encode([segment(text) for text in TEXTS])
    results = Batched(Counting(spec, 4), 10**6).encode([segment(text) for text in texts])
    error = results.pop(place)
    assert isinstance(error, AssetError)
    assert (error.reason, error.step) == ("out_of_memory", "encode")
    assert "8 tokens do not fit" in str(error)
    equal(results, wanted[:place] + wanted[place + 1 :])


@pytest.mark.parametrize(("text", "reason"), [("bad one", "unsupported"), ("nan", "not_finite")])
@pytest.mark.parametrize("place", range(len(TEXTS)))
def test_a_bad_item_at_any_place_costs_its_neighbours_nothing(spec, place, text, reason):
    wanted = Batched(Counting(spec), 60).encode([segment(each) for each in TEXTS])
    results = Batched(Counting(spec), 60).encode(
        [*[segment(each) for each in TEXTS[:place]], segment(text), *[segment(each) for each in TEXTS[place:]]]
    )
    error = results.pop(place)
    assert isinstance(error, AssetError)
    assert error.reason == reason
    equal(results, wanted)


def test_a_bad_item_among_images_and_videos_costs_them_nothing(folder):
    """A real model: an item too long for the window, and one whose embeddings are not finite, at every place."""
    model = loaded(folder, "qwen3_vl", batch_tokens=400, max_length=150)
    tokens = model._model._backbone
    with torch.no_grad():
        tokens.model.get_input_embeddings().weight[tokens.tokenizer.id_of("%")] = torch.nan
    good = [segment("words", [picture()]), segment("a"), segment(visuals=[clip(4)]), segment(visuals=[picture(seed=1)])]
    wanted = model.encode(good)
    for bad, reason in (
        (segment(visuals=[clip(64, 32, 32)]), "too_long"),
        (segment("50 %", [picture()]), "not_finite"),
    ):
        for place in range(len(good) + 1):
            results = model.encode([*good[:place], bad, *good[place:]])
            error = results.pop(place)
            assert isinstance(error, AssetError)
            assert error.reason == reason
            for result, other in zip(results, wanted, strict=True):
                assert result.pooled @ other.pooled >= 0.9999
                cosines = (result.states * other.states).sum(1) / np.linalg.norm(result.states, axis=1)
                assert (cosines / np.linalg.norm(other.states, axis=1) >= 0.9999).all()


def test_what_a_result_says_of_its_tokens(folder):
    """Grids and times in the order in which the model saw the visuals: videos first."""
    model = loaded(folder, "qwen3_vl")
    shown = [picture(64, 96), clip(3, 64, 32)]
    [result, none] = model.encode([segment("ab", shown), segment("ab")])
    assert result.grids == ((2, 2, 1), (1, 2, 3))
    assert result.times == shown[1].times
    assert len(result.kinds) == len(result.states)
    assert [(result.kinds == kind).sum() for kind in (masks.VIDEO, masks.IMAGE)] == [4, 6]
    assert (none.grids, none.times) == ((), ())


def test_rows_are_padded_on_the_right():
    rows = [np.array([1, 2, 3]), np.array([4], np.uint8)]
    assert stack(rows, 9).tolist() == [[1, 2, 3], [4, 9, 9]]
    assert attended([Prompt(row, row, row) for row in rows]).tolist() == [[True] * 3, [True, False, False]]
