"""GME against one forward per item from embeddings, as its authors' code does it, with the real processor."""

import goldens
import numpy as np
import pytest
import tiny_vl
import torch
import transformers
from seeing import clip, differ, kinds_of, loaded, picture, rows, same, segment, special_ids

from smart_jobs.encode import qwen, readout
from smart_jobs.records import AssetError

FAMILY = "gme"
FIND = "Find an image that matches the given text."
ITEMS = [
    segment("the total of 2022", side="query", instruction=FIND),
    segment(visuals=[picture(56, 84)], instruction="not for documents"),
    segment("a text"),
    segment("with words", [picture(112, 28, 1)], side="query", instruction=FIND),
    segment(side="query"),
    segment("the user's\n\nown lines\n" * 9),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_vl.checkpoint(tmp_path_factory.mktemp("tiny") / FAMILY, FAMILY)


@pytest.fixture(scope="module")
def reference(folder):
    processor = transformers.AutoProcessor.from_pretrained(folder)
    return processor, transformers.Qwen2VLForConditionalGeneration.from_pretrained(folder).eval()


def inputs(processor, item):
    instruction = item.instruction if item.side == "query" and item.instruction else "You are a helpful assistant."
    user = "<|vision_start|><|image_pad|><|vision_end|>" * len(item.visuals) + item.text
    text = f"<|im_start|>system\n{instruction}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"
    images = [visual.pixels[0] for visual in item.visuals]
    return processor(text=[text + "<|endoftext|>"], images=images or None, do_resize=False, return_tensors="pt")


@torch.inference_mode()
def alone(reference, item):
    """Visual features put into the embeddings by hand; the language model counts positions from 0."""
    processor, model = reference
    given = inputs(processor, item)
    ids = given["input_ids"]
    embeddings = model.get_input_embeddings()(ids).clone()
    if item.visuals:
        found = model.model.visual(given["pixel_values"], grid_thw=given["image_grid_thw"]).pooler_output
        embeddings[ids == model.config.image_token_id] = found
    states = rows(model.model.language_model(inputs_embeds=embeddings).last_hidden_state)
    keep = [i not in special_ids(processor.tokenizer) for i in ids[0].tolist()]
    return states[-1], states[keep]


def test_ids_and_pixels_are_the_processors(folder, reference):
    model = loaded(folder, FAMILY)._model
    for item in ITEMS:
        prompt, wanted = model.prompt(item), inputs(reference[0], item)
        assert prompt.ids.tolist() == wanted["input_ids"][0].tolist()
        assert prompt.ids[-1] == reference[0].tokenizer.convert_tokens_to_ids("<|endoftext|>")
        for visual in prompt.visuals:
            cut = model._backbone.patching.cut(torch.from_numpy(visual.pixels))
            torch.testing.assert_close(cut, wanted["pixel_values"], rtol=0, atol=1e-6)
            assert [list(model._backbone.patching.grid(visual.pixels.shape))] == wanted["image_grid_thw"].tolist()


def test_a_mixed_batch_equals_each_item_alone(folder, reference):
    wanted = [alone(reference, item) for item in ITEMS]
    for budget in (10**6, 200, 1):
        same(loaded(folder, FAMILY, budget).encode(ITEMS), wanted)


def test_positions_in_three_dimensions_would_show_and_leave_nothing_behind(folder):
    """A pass of the model's own kind keeps `rope_deltas`, which must not move the positions of a later pass."""
    model = loaded(folder, FAMILY)
    shown = [ITEMS[1], ITEMS[3]]
    before = model.encode(shown)
    native = loaded(folder, FAMILY)

    def forward(batch):
        hidden, attended = qwen.native(native._model._backbone, batch)
        return readout.pool(hidden, attended, "last"), hidden

    ours, native._model.forward = native._model.forward, forward
    differ(before, native.encode(shown))
    native._model.forward = ours
    same(native.encode(shown), [(result.pooled, result.states) for result in before])


def test_queries_keep_text_only_where_the_mask_says_so(folder):
    model = loaded(folder, FAMILY, mask_query="text")
    query, document = (segment("ab", [picture(56, 84)], side=side) for side in ("query", "document"))
    kinds = ["".join("SENTIVM"[kind] for kind in result.kinds) for result in model.encode([query, document])]
    assert "I" not in kinds[0]
    assert kinds[1].count("I") == 6
    assert kinds[1].replace("I", "") == kinds[0]


def test_kinds_token_by_token(folder):
    model = loaded(folder, FAMILY)._model
    tokens = model._backbone.tokenizer
    said, system, user, role = (len(tokens.spans(words)[0]) for words in (FIND, "system\n", "user\n", "assistant\n"))
    wanted = f"S{'E' * system}{'N' * said}SES{'E' * user}SIIIIIIS{'T' * 2}SES{'E' * role}S"
    item = segment("ab", [picture(56, 84)], side="query", instruction=FIND)
    assert kinds_of(model.prompt(item)) == wanted


def test_what_it_does_not_take_is_unsupported_and_costs_its_neighbours_nothing(folder):
    items = [segment("a"), segment(visuals=[clip()]), segment(visuals=[picture(56, 84)] * 2), segment("b")]
    model = loaded(folder, FAMILY)
    first, video, two, last = model.encode(items)
    assert all(isinstance(error, AssetError) and error.reason == "unsupported" for error in (video, two))
    assert "tiny-gme reads no videos" in str(video)
    assert "tiny-gme reads 1 image at a time, not 2" in str(two)
    same([first, last], [(result.pooled, result.states) for result in model.encode([items[0], items[3]])])


def test_a_long_text_keeps_the_token_that_is_pooled(folder):
    model = loaded(folder, FAMILY, max_length=64)._model
    prompt = model.prompt(segment("word " * 200))
    assert len(prompt.ids) == 64
    assert prompt.ids[-1] == model._backbone.end
    assert np.isin(prompt.ids[:-1], model._backbone.end).sum() == 0


def test_golden(folder):
    goldens.check(folder, FAMILY)
