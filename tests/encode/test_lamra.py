"""LamRA against one forward per item from embeddings, without DeepStack, with the real processor on its two turns."""

import goldens
import pytest
import tiny_vl
import torch
import transformers
from seeing import clip, differ, kinds_of, loaded, picture, rows, same, segment, special_ids

from smart_jobs.encode import qwen
from smart_jobs.records import AssetError, JobError

FAMILY = "lamra"
FIND = "Find a document image that matches the given query."
ITEMS = [
    segment("the total of 2022", side="query", instruction=FIND),
    segment(visuals=[picture()]),
    segment("a text"),
    segment("with words.", [picture(32, 160, 1)], instruction=FIND),
    segment(visuals=[picture(96, 32, 2), picture(64, 64, 3)], side="query", instruction=FIND),
    segment(),
    segment(side="query", instruction=FIND),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_vl.checkpoint(tmp_path_factory.mktemp("tiny") / FAMILY, FAMILY)


@pytest.fixture(scope="module")
def reference(folder):
    processor = transformers.AutoProcessor.from_pretrained(folder)
    return processor, transformers.Qwen3VLForConditionalGeneration.from_pretrained(folder).eval()


def inputs(processor, item):
    what = "image" if item.visuals and not item.instruction and not item.text else "sentence"
    user = "<|vision_start|><|image_pad|><|vision_end|>" * len(item.visuals)
    user += f" {item.instruction}\n" if item.instruction else ""
    user += f"{item.text}\nSummarize above {what} in one word: "
    text = f"<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n<emb>.<|im_end|>\n<|im_start|>assistant\n"
    images = [visual.pixels[0] for visual in item.visuals]
    return processor(text=[text], images=images or None, do_resize=False, return_tensors="pt")


@torch.inference_mode()
def alone(reference, item):
    processor, model = reference
    given = inputs(processor, item)
    ids = given["input_ids"]
    embeddings = model.get_input_embeddings()(ids).clone()
    if item.visuals:
        found = model.model.visual(given["pixel_values"], grid_thw=given["image_grid_thw"]).pooler_output
        embeddings[ids == model.config.image_token_id] = found
    states = rows(model.model.language_model(inputs_embeds=embeddings).last_hidden_state)
    listed = ids[0].tolist()
    keep = [i not in special_ids(processor.tokenizer) for i in listed]
    return states[listed.index(processor.tokenizer.convert_tokens_to_ids("<emb>")) - 1], states[keep]


def test_ids_are_the_processors(folder, reference):
    model = loaded(folder, FAMILY)._model
    for item in ITEMS:
        assert model.prompt(item).ids.tolist() == inputs(reference[0], item)["input_ids"][0].tolist()


def test_a_mixed_batch_equals_each_item_alone(folder, reference):
    wanted = [alone(reference, item) for item in ITEMS]
    for budget in (10**6, 200, 1):
        same(loaded(folder, FAMILY, budget).encode(ITEMS), wanted)


def test_a_stock_forward_would_show(folder):
    model, stock = loaded(folder, FAMILY), loaded(folder, FAMILY)
    backbone = stock._model._backbone

    def forward(batch):
        hidden, _ = qwen.native(backbone, batch)
        before = [row.ids.tolist().index(stock._model._emb) - 1 for row in batch]
        return hidden[torch.arange(len(batch)), before], hidden

    stock._model.forward = forward
    differ(model.encode([ITEMS[1], ITEMS[3]]), stock.encode([ITEMS[1], ITEMS[3]]))


def test_kinds_token_by_token_and_what_is_pooled_is_kept(folder):
    model = loaded(folder, FAMILY)
    tokens = model._model._backbone.tokenizer
    user, asked, role = (len(tokens.spans(words)[0]) for words in
                         ("user\n", "\nSummarize above image in one word: ", "assistant\n"))  # fmt: skip
    wanted = f"S{'E' * user}SIIIIIIS{'E' * asked}SES{'E' * role}EESES{'E' * role}"
    item = segment(visuals=[picture()])
    assert kinds_of(model._model.prompt(item)) == wanted
    [result] = model.encode([item])
    before_emb = result.states[-(role + 1 + 2) - 1]
    assert abs(before_emb / (before_emb**2).sum() ** 0.5 - result.pooled).max() < 1e-6


def test_a_quoted_emb_is_text(folder):
    model = loaded(folder, FAMILY)._model
    assert (model.prompt(segment("see <emb>.", instruction="<emb>")).ids == model._emb).sum() == 1


def test_a_long_text_is_cut_before_the_question(folder):
    model = loaded(folder, FAMILY, max_length=100)._model
    prompt = model.prompt(segment("word " * 200, instruction=FIND))
    whole = loaded(folder, FAMILY)._model.prompt(segment("word " * 200, instruction=FIND))
    assert len(prompt.ids) == 100
    assert prompt.ids[-model._tail :].tolist() == whole.ids[-model._tail :].tolist()
    assert prompt.ids[: 100 - model._tail].tolist() == whole.ids[: 100 - model._tail].tolist()


def test_videos_are_unsupported(folder):
    [error] = loaded(folder, FAMILY).encode([segment(visuals=[clip()])])
    assert isinstance(error, AssetError)
    assert error.reason == "unsupported"
    assert "tiny-lamra reads no videos" in str(error)


def test_a_checkpoint_without_emb_is_refused(tmp_path):
    folder = tiny_vl.checkpoint(tmp_path / "plain", "qwen3_vl")
    with pytest.raises(JobError, match="no token <emb>"):
        loaded(folder, FAMILY)


def test_golden(folder):
    goldens.check(folder, FAMILY)
