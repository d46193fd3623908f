"""CLIP against transformers' own model on its own processor's inputs, one item at a time."""

import goldens
import numpy as np
import pytest
import tiny_vl
import torch
import transformers
from seeing import clip, kinds_of, loaded, picture, same, segment

from smart_jobs.records import AssetError

FAMILY = "clip"
ITEMS = [
    segment("a photo of the total", side="query"),
    segment(visuals=[picture(32, 32)]),
    segment(""),
    segment(visuals=[picture(32, 32, 1)]),
    segment("long " * 60),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_vl.checkpoint(tmp_path_factory.mktemp("tiny") / FAMILY, FAMILY)


@pytest.fixture(scope="module")
def reference(folder):
    return transformers.AutoProcessor.from_pretrained(folder), transformers.CLIPModel.from_pretrained(folder).eval()


def inputs(processor, item):
    if item.visuals:
        return processor(images=item.visuals[0].pixels[0], return_tensors="pt")
    return processor(text=[item.text], truncation=True, return_tensors="pt")


@torch.inference_mode()
def alone(reference, item):
    """What the whole model says of the item; states by the layers behind it, written out."""
    processor, model = reference
    given = inputs(processor, item)
    if item.visuals:
        output = model(**given, **inputs(processor, segment("x")))
        final = output.vision_model_output.last_hidden_state[0, 1:]
        return output.image_embeds[0], model.visual_projection(model.vision_model.post_layernorm(final))
    output = model(**given, **inputs(processor, ITEMS[1]))
    states = model.text_projection(output.text_model_output.last_hidden_state[0, 1:-1])
    return output.text_embeds[0], states if len(states) else output.text_embeds


def test_ids_and_pixels_are_the_processors(folder, reference):
    model = loaded(folder, FAMILY)._model
    for item in ITEMS:
        wanted = inputs(reference[0], item)
        if item.visuals:
            from smart_jobs.encode import squares

            pixels = squares.images([model.prompt(item)], model._statistics, torch.device("cpu"))
            torch.testing.assert_close(pixels, wanted["pixel_values"], rtol=0, atol=1e-6)
        else:
            assert model.prompt(item).ids.tolist() == wanted["input_ids"][0].tolist()


def test_a_mixed_batch_equals_each_item_alone(folder, reference):
    wanted = [alone(reference, item) for item in ITEMS]
    for budget in (10**6, 60, 1):
        same(loaded(folder, FAMILY, budget).encode(ITEMS), wanted)


def test_the_class_tokens_state_would_be_what_is_pooled(folder):
    """The path of a patch's state is the class token's own."""
    model = loaded(folder, FAMILY)._model
    with torch.inference_mode():
        pooled, states = model.forward([model.prompt(ITEMS[1])])
    np.testing.assert_allclose(states[0, 0], pooled[0], atol=1e-6)


def test_kinds_token_by_token(folder):
    model = loaded(folder, FAMILY)._model
    assert kinds_of(model.prompt(segment(visuals=[picture(32, 32)]))) == "S" + "I" * 16
    assert kinds_of(model.prompt(segment("ab", instruction="c"))) == "SNTTS"
    assert len(model.prompt(ITEMS[4]).ids) == 77


def test_what_it_does_not_take_is_unsupported(folder):
    items = [segment("a", [picture(32, 32)]), segment(visuals=[clip()]), segment(visuals=[picture(32, 32)] * 2)]
    results = loaded(folder, FAMILY).encode(items)
    assert [isinstance(error, AssetError) and error.reason for error in results] == ["unsupported"] * 3
    assert str(results[0]).endswith("tiny-clip reads a text or an image, not both at once")


def test_golden(folder):
    goldens.check(folder, FAMILY)
