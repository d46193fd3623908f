"""SigLIP against transformers' own model on its own processor's inputs, one item at a time."""

import goldens
import numpy as np
import pytest
import tiny_vl
import torch
import transformers
from seeing import clip, kinds_of, loaded, picture, same, segment

from smart_jobs.encode import squares
from smart_jobs.records import AssetError

FAMILY = "siglip"
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
    return transformers.AutoProcessor.from_pretrained(folder), transformers.SiglipModel.from_pretrained(folder).eval()


def inputs(processor, item):
    if item.visuals:
        return processor(images=item.visuals[0].pixels[0], return_tensors="pt")
    given = processor(text=[item.text], padding="max_length", truncation=True, return_tensors="pt")
    return {"input_ids": given["input_ids"]}  # as it was trained: padding is attended to


@torch.inference_mode()
def alone(reference, item):
    """Pooled as the whole model says; a patch's state as the head gives it from an image of that patch alone."""
    processor, model = reference
    given = inputs(processor, item)
    if item.visuals:
        output = model(**given, **inputs(processor, ITEMS[0]))
        final = output.vision_model_output.last_hidden_state[0]
        return output.image_embeds[0], model.vision_model.head(final[:, None])
    output = model(**given, **inputs(processor, ITEMS[1]))
    states = model.text_model.head(output.text_model_output.last_hidden_state[0])
    said = given["input_ids"][0] != processor.tokenizer.eos_token_id
    return output.text_embeds[0], states[said] if said.any() else output.text_embeds


def test_ids_and_pixels_are_the_processors(folder, reference):
    model = loaded(folder, FAMILY)._model
    for item in ITEMS:
        wanted = inputs(reference[0], item)
        if item.visuals:
            pixels = squares.images([model.prompt(item)], model._statistics, torch.device("cpu"))
            torch.testing.assert_close(pixels, wanted["pixel_values"], rtol=0, atol=1e-6)
        else:
            assert model.prompt(item).ids.tolist() == wanted["input_ids"][0].tolist()


def test_a_mixed_batch_equals_each_item_alone(folder, reference):
    wanted = [alone(reference, item) for item in ITEMS]
    for budget in (10**6, 60, 1):
        same(loaded(folder, FAMILY, budget).encode(ITEMS), wanted)


def test_kinds_token_by_token(folder):
    model = loaded(folder, FAMILY)._model
    assert kinds_of(model.prompt(segment(visuals=[picture(32, 32)]))) == "I" * 16
    assert kinds_of(model.prompt(segment("ab"))) == "TT" + "S" * 62
    assert kinds_of(model.prompt(ITEMS[4])) == "T" * 63 + "S"


def test_a_text_has_the_same_vector_beside_any_other(folder):
    model = loaded(folder, FAMILY)
    [alone] = model.encode([ITEMS[0]])
    beside = model.encode(ITEMS)[0]
    np.testing.assert_allclose(alone.pooled, beside.pooled, atol=1e-6)


def test_what_it_does_not_take_is_unsupported(folder):
    items = [segment("a", [picture(32, 32)]), segment(visuals=[clip()]), segment(visuals=[picture(32, 32)] * 2)]
    results = loaded(folder, FAMILY).encode(items)
    assert [isinstance(error, AssetError) and error.reason for error in results] == ["unsupported"] * 3


def test_golden(folder):
    goldens.check(folder, FAMILY)
