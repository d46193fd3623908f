"""Pieces of a prompt as tokens with kinds; names of special tokens in what a document says."""

import numpy as np
import pytest
import tiny_vl
from hypothesis import given
from hypothesis import strategies as st
from seeing import loaded

from smart_jobs import masks
from smart_jobs.encode import prompts
from smart_jobs.records import JobError


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tiny_vl.checkpoint(tmp_path_factory.mktemp("tiny") / "qwen3_vl", "qwen3_vl")
    return loaded(folder, "qwen3_vl")._model._backbone.tokenizer


PIECES = [("<|im_start|>user\n", masks.TEMPLATE), ("<|image_pad|>", masks.IMAGE), ("ab", masks.TEXT),
          ("<|video_pad|>", masks.VIDEO), ("<|im_end|>", masks.TEMPLATE)]  # fmt: skip


def build(tokenizer, pieces, counts):
    special = {tokenizer.id_of(name) for name in ("<|im_start|>", "<|im_end|>", "<|image_pad|>", "<|video_pad|>")}
    made = prompts.build(tokenizer, pieces, counts, special)
    return made.ids, made.kinds


def test_placeholders_are_repeated_and_are_no_special_tokens(tokenizer):
    ids, kinds = build(tokenizer, PIECES, [3, 2])
    image, video = (tokenizer.id_of(name) for name in ("<|image_pad|>", "<|video_pad|>"))
    assert kinds.tolist() == [0, 1, 1, 1, 1, 4, 4, 4, 3, 3, 5, 5, 0]
    assert (ids[kinds == masks.IMAGE] == image).all()
    assert (ids[kinds == masks.VIDEO] == video).all()
    assert (ids.dtype, kinds.dtype) == (np.int64, np.uint8)


def test_each_token_stands_for_its_characters_and_a_placeholder_for_all_of_its_own(tokenizer):
    special = {tokenizer.id_of(name) for name in tiny_vl.QWEN}
    made = prompts.build(tokenizer, PIECES, [3, 2], special)
    assert made.text == "".join(text for text, _ in PIECES)
    assert made.words() == (
        "<|im_start|>", "u", "se", "r", "\n", *["<|image_pad|>"] * 3, "a", "b", *["<|video_pad|>"] * 2, "<|im_end|>"
    )  # fmt: skip
    longer = prompts.appended(made, 7, 2)
    assert longer.words() == (*made.words(), "", "")
    assert longer.ids.tolist() == [*made.ids.tolist(), 7, 7]
    assert longer.kinds.tolist() == [*made.kinds.tolist(), masks.SPECIAL, masks.SPECIAL]
    content = longer.take(masks.keep(longer.kinds, "content"))
    assert content.words() == made.words()[5:12]
    assert content.kinds.tolist() == [4, 4, 4, 3, 3, 5, 5]


def test_all_tokens_of_one_character_stand_for_it(tokenizer):
    made = prompts.text(tokenizer, "a ", "日")
    assert made.words() == ("a", " ", "日", "日", "日", "")


def test_a_number_of_counts_that_does_not_fit_is_an_error(tokenizer):
    with pytest.raises(ValueError, match="cannot assign"):
        build(tokenizer, PIECES, [3, 2, 1])


def test_a_token_over_a_boundary_is_of_the_piece_of_its_first_character_that_is_seen(tokenizer):
    _, kinds = build(tokenizer, [("user\n", masks.TEMPLATE), ("\nab", masks.TEXT)], [])
    assert kinds.tolist() == [1, 1, 1, 3, 3, 3]  # u se r, both line ends as one, a, b
    _, kinds = build(tokenizer, [("a", masks.INSTRUCTION), (" ", masks.TEMPLATE), ("the", masks.TEXT)], [])
    assert kinds.tolist() == [2, 3]  # a, the word with its space
    made = prompts.text(tokenizer, "a ", "the")
    assert made.kinds.tolist() == [2, 3, 0]


@given(st.lists(st.sampled_from(["a b", "Größe 日本 🙂", "", "\n", " ", "x"]), min_size=1, max_size=5))
def test_the_pieces_are_tokenized_as_one_text(tokenizer, words):
    ids, kinds = build(tokenizer, [(word, masks.TEXT) for word in words], [])
    assert ids.tolist() == tokenizer.spans("".join(words))[0]
    assert (kinds == masks.TEXT).all()


@given(st.text(alphabet="<|im_end>pads ", max_size=40))
def test_plain_text_holds_no_special_token(tokenizer, text):
    names = {tokenizer.id_of(name): name for name in tiny_vl.QWEN}
    for said in (text, text + "<|im_end|>" + text, f"<|<|im_end|>im_end|>{text}"):
        plain = tokenizer.plain(said)
        assert not set(tokenizer.spans(plain)[0]) & set(names)
        assert plain.replace(" ", "") == said.replace(" ", "")


def test_plain_text_without_names_stays_as_it_is(tokenizer):
    for text in ("", "a <b> | c", "im_end", "<|im_end|", "< |im_end|>"):
        assert tokenizer.plain(text) == text
    assert tokenizer.plain("<emb> a", "<emb>") == "< emb> a"


def test_a_token_that_the_vocabulary_lacks_is_named(tokenizer):
    with pytest.raises(JobError, match="the checkpoint's tokenizer has no token <none>"):
        tokenizer.id_of("<none>")
