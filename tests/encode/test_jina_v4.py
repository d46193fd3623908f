"""jina-embeddings-v4's multi-vector side against transformers' Qwen2.5-VL and a projection written out here."""

import shutil

import goldens
import numpy as np
import pytest
import tiny_vl
import torch
import transformers
from safetensors.torch import load_file, save_file
from seeing import clip, kinds_of, loaded, picture, rows, same, segment

from smart_jobs.records import AssetError, JobError

FAMILY = "jina_v4"
ITEMS = [
    segment("the total of 2022", side="query", instruction="Find the page."),
    segment(visuals=[picture(56, 84)]),
    segment("a text"),
    segment(visuals=[picture(112, 140, 1)], side="query"),
    segment(),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_vl.checkpoint(tmp_path_factory.mktemp("tiny") / FAMILY, FAMILY)


@pytest.fixture(scope="module")
def reference(folder):
    processor = transformers.AutoProcessor.from_pretrained(folder)
    return (
        processor,
        transformers.Qwen2_5_VLModel.from_pretrained(folder).eval(),
        load_file(folder / "model.safetensors"),
    )


def inputs(processor, item):
    shown = "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Describe the image.<|im_end|>\n"
    text = shown if item.visuals else f"Query: {item.text}"
    images = [visual.pixels[0] for visual in item.visuals]
    return processor(text=[text], images=images or None, do_resize=False, return_tensors="pt")


@torch.inference_mode()
def alone(reference, item):
    """Every attended token; pooled is the mean of unit vectors."""
    processor, model, weights = reference
    hidden = rows(model(**inputs(processor, item)).last_hidden_state)
    states = (
        hidden @ weights["multi_vector_projector.weight"].numpy().T + weights["multi_vector_projector.bias"].numpy()
    )
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    return states.mean(axis=0), states


def test_ids_and_pixels_are_the_processors(folder, reference):
    model = loaded(folder, FAMILY)._model
    for item in ITEMS:
        prompt, wanted = model.prompt(item), inputs(reference[0], item)
        assert prompt.ids.tolist() == wanted["input_ids"][0].tolist()
        for visual in prompt.visuals:
            cut = model._backbone.patching.cut(torch.from_numpy(visual.pixels))
            torch.testing.assert_close(cut, wanted["pixel_values"], rtol=0, atol=1e-6)


def test_a_mixed_batch_equals_each_item_alone(folder, reference):
    wanted = [alone(reference, item) for item in ITEMS]
    for budget in (10**6, 60, 1):
        same(loaded(folder, FAMILY, budget).encode(ITEMS), wanted)


def test_the_spec_says_that_pooled_is_the_mean_of_states(folder):
    spec = loaded(folder, FAMILY).spec
    assert (spec.pooling, spec.pooled_kind, spec.dim) == ("mean_states", "mean_states", 16)


def test_kinds_token_by_token(folder):
    model = loaded(folder, FAMILY)._model
    tokens = model._backbone.tokenizer
    user, asked = len(tokens.spans("user\n")[0]), len(tokens.spans("Describe the image.")[0])
    shown = f"E{'E' * user}EIIIIIIE{'N' * asked}EE"
    assert kinds_of(model.prompt(segment(visuals=[picture(56, 84)]))) == shown
    assert kinds_of(model.prompt(segment("ab"))) == "N" * len(tokens.spans("Query: ")[0]) + "TT"


def test_what_it_does_not_take_is_unsupported(folder):
    items = [segment("a", [picture(56, 84)]), segment(visuals=[clip()]), segment(visuals=[picture(56, 84)] * 2)]
    results = loaded(folder, FAMILY).encode(items)
    assert all(isinstance(error, AssetError) and error.reason == "unsupported" for error in results)
    assert "tiny-jina_v4 reads a text or an image" in str(results[0])


def test_adapters_that_are_not_merged_are_refused(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "adapters").mkdir()
    with pytest.raises(JobError, match="merge `retrieval`"):
        loaded(copy, FAMILY)


def test_a_checkpoint_without_projector_is_refused(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    weights = {name: value for name, value in load_file(copy / "model.safetensors").items() if "projector" not in name}
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(JobError, match=r"no tensor multi_vector_projector\.weight"):
        loaded(copy, FAMILY)


def test_golden(folder):
    goldens.check(folder, FAMILY)
