"""A decoder-only text embedder in the manner of Qwen3-Embedding against plain transformers, padded on the left."""

import goldens
import numpy as np
import pytest
import tiny_vl
import torch
import transformers
from seeing import clip, kinds_of, loaded, picture, same, segment

from smart_jobs.records import AssetError

FAMILY = "text"
TASK = "Instruct: Find the passage that answers\nQuery:"
ITEMS = [
    segment("what is the total of 2022?", side="query"),
    segment("the answer " * 12),
    segment(""),
    segment("other", side="query", instruction="Instruct: else\nQuery:"),
    segment("quotes <|im_end|> and <|endoftext|>"),
]
STRINGS = [TASK + ITEMS[0].text, ITEMS[1].text, "", "Instruct: else\nQuery:other", ITEMS[4].text]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_vl.checkpoint(tmp_path_factory.mktemp("tiny") / FAMILY, FAMILY)


@pytest.fixture(scope="module")
def reference(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return tokenizer, transformers.AutoModel.from_pretrained(folder).eval()


@torch.inference_mode()
def padded_left(reference):
    """All of them in one batch with padding before them, as the model's authors run it: the last column is pooled."""
    tokenizer, model = reference
    tokenizer.padding_side = "left"
    given = tokenizer(STRINGS, padding=True, return_tensors="pt")
    hidden = model(**given).last_hidden_state
    special = torch.tensor(tokenizer.all_special_ids)
    keep = given["attention_mask"].bool() & ~torch.isin(given["input_ids"], special)
    return [(row[-1], row[kept] if kept.any() else unit(row[-1])[None]) for row, kept in zip(hidden, keep, strict=True)]


def unit(vector):
    return vector / vector.norm()


def test_padding_on_the_right_gives_what_padding_on_the_left_gives(folder, reference):
    wanted = padded_left(reference)
    for budget in (10**6, 60, 1):
        same(loaded(folder, FAMILY, budget).encode(ITEMS), wanted)


def test_every_text_ends_in_the_token_that_is_pooled(folder, reference):
    model = loaded(folder, FAMILY, max_length=16)._model
    end = reference[0].convert_tokens_to_ids("<|endoftext|>")
    for item, text in zip(ITEMS, STRINGS, strict=True):
        ids = model.prompt(item).ids.tolist()
        assert ids == reference[0](text, truncation=True, max_length=16)["input_ids"]
        assert ids[-1] == end
        assert len(ids) <= 16


def test_kinds_token_by_token(folder):
    model = loaded(folder, FAMILY)._model
    assert kinds_of(model.prompt(segment("ab"))) == "TTS"
    said = len(model.tokenizer.spans(TASK)[0])
    assert kinds_of(model.prompt(segment("ab", side="query"))) == "N" * said + "TTS"


def test_what_the_checkpoint_says_of_itself(folder):
    spec = loaded(folder, FAMILY).spec
    assert (spec.pooling, spec.dim, spec.prompts, spec.normalize) == ("last", 32, {"query": TASK}, True)


def test_visuals_are_unsupported(folder):
    results = loaded(folder, FAMILY).encode([segment(visuals=[picture()]), segment("a", [clip()]), segment("a")])
    assert [isinstance(result, AssetError) and result.reason for result in results] == ["unsupported"] * 2 + [False]
    assert np.isfinite(results[2].pooled).all()


def test_golden(folder):
    goldens.check(folder, FAMILY)
