"""Qwen3-VL-Embedding against one plain transformers forward per item, from its real processor."""

import goldens
import numpy as np
import pytest
import tiny_vl
import torch
import transformers
from seeing import PROMPT, clip, differ, kinds_of, loaded, picture, rows, same, segment, special_ids

from smart_jobs.encode.qwen3_vl import group_times, sentence
from smart_jobs.records import AssetError

FAMILY = "qwen3_vl"
FIND = "Find a document image that matches the given query."
ITEMS = [
    segment("the total of 2022", side="query", instruction=FIND),
    segment(visuals=[picture()]),
    segment("a text"),
    segment("with words", [picture(32, 160, 1), picture(96, 32, 2)]),
    segment(visuals=[clip(4)]),
    segment(),
    segment("words", [picture(64, 64, 3), clip(5, 64, 32, 4)], side="query"),
    segment("the user's\n\nown lines\n" * 9, instruction=" No full stop "),
    segment("none", instruction="  "),
    segment(" \n", side="query", instruction=FIND),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_vl.checkpoint(tmp_path_factory.mktemp("tiny") / FAMILY, FAMILY)


@pytest.fixture(scope="module")
def reference(folder):
    processor = transformers.AutoProcessor.from_pretrained(folder)
    return processor, transformers.Qwen3VLModel.from_pretrained(folder).eval()


def inputs(processor, item):
    """The real processor's inputs for the prompt, which is spelled out here once more."""
    instruction = {" No full stop ": "No full stop.", "  ": ""}.get(item.instruction, item.instruction) or PROMPT
    videos = [visual for visual in item.visuals if visual.kind == "video"]
    images = [visual for visual in item.visuals if visual.kind == "image"]
    user = "<|video_pad|>" * len(videos)
    user += "<|vision_start|><|image_pad|><|vision_end|>" * len(images)
    user += item.text
    text = f"<|im_start|>system\n{instruction}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"
    metadata = [
        {"fps": 1.5, "frames_indices": [0.375 + i for i in range(len(video.times))],
         "total_num_frames": len(video.times)}
        for video in videos
    ]  # fmt: skip
    return processor(
        text=[text],
        images=[image.pixels[0] for image in images] or None,
        videos=[video.pixels for video in videos] or None,
        video_metadata=metadata or None,
        do_resize=False,
        do_sample_frames=False,
        return_tensors="pt",
    )


@torch.inference_mode()
def alone(reference, item):
    processor, model = reference
    given = inputs(processor, item)
    states = rows(model(**given).last_hidden_state)
    ids = given["input_ids"][0]
    attended = given["attention_mask"][0].bool()
    keep = attended & ~torch.isin(ids, torch.tensor(sorted(special_ids(processor.tokenizer))))
    return states[attended.nonzero().max()], states[keep.numpy()]


@pytest.mark.parametrize("number", range(len(ITEMS)))
def test_ids_and_pixels_are_the_processors(folder, reference, number):
    model = loaded(folder, FAMILY)._model
    wanted = inputs(reference[0], ITEMS[number])
    prompt = model.prompt(ITEMS[number])
    assert prompt.ids.tolist() == wanted["input_ids"][0].tolist()
    assert prompt.ids[-1] == reference[0].tokenizer.convert_tokens_to_ids("<|endoftext|>")
    for kind, pixels, grid in (
        ("image", "pixel_values", "image_grid_thw"),
        ("video", "pixel_values_videos", "video_grid_thw"),
    ):
        shown = [visual for visual in prompt.visuals if visual.kind == kind]
        cut = [model._backbone.patching.cut(torch.from_numpy(visual.pixels)) for visual in shown]
        assert (pixels in wanted) == bool(shown)
        if shown:
            torch.testing.assert_close(torch.cat(cut), wanted[pixels], rtol=0, atol=1e-6)
            assert [list(model._backbone.patching.grid(visual.pixels.shape)) for visual in shown] == wanted[
                grid
            ].tolist()


def test_a_mixed_batch_equals_each_item_alone(folder, reference):
    wanted = [alone(reference, item) for item in ITEMS]
    for budget in (10**6, 400, 1):
        same(loaded(folder, FAMILY, budget).encode(ITEMS), wanted)


def test_states_are_those_behind_the_final_norm(folder, reference):
    processor, model = reference
    with torch.inference_mode():
        output = model(**inputs(processor, ITEMS[1]), output_hidden_states=True)
    [result] = loaded(folder, FAMILY).encode([ITEMS[1]])
    np.testing.assert_allclose(result.pooled, unit(rows(output.last_hidden_state)[-1]), atol=1e-5)
    assert np.abs(result.pooled - unit(rows(output.hidden_states[-2])[-1])).max() > 1e-2


def unit(vector):
    return vector / np.linalg.norm(vector)


def test_what_ports_leave_out_would_show(folder):
    """Positions in three dimensions, DeepStack, a clip as a clip, times, the system's turn, the full stop."""
    model = loaded(folder, FAMILY)
    shown = [segment("words", [picture(64, 96)]), segment("words", [clip(4)])]
    sequential = loaded(folder, FAMILY)
    sequential._model.forward = lambda batch: without_deepstack(sequential._model, batch)
    differ(model.encode(shown), sequential.encode(shown))
    video = clip(4)
    frames = [type(video)("image", video.pixels[i : i + 1]) for i in range(4)]
    later = type(video)("video", video.pixels, tuple(time + 10 for time in video.times))
    changed = [segment("words", frames), segment("words", [later])]
    differ(model.encode([shown[1], shown[1]]), model.encode(changed))
    differ(model.encode([segment("a")] * 2), model.encode([segment("a", instruction="Else."), segment(f"{PROMPT} a")]))


def without_deepstack(model, batch):
    from smart_jobs.encode import qwen, readout

    hidden, attended = qwen.sequential(model._backbone, batch)
    return readout.pool(hidden, attended, "last"), hidden


def test_kinds_token_by_token(folder):
    model = loaded(folder, FAMILY)._model
    tokens = model._backbone.tokenizer
    said = len(tokens.spans(PROMPT)[0])
    before = "S" + "E" * len(tokens.spans("system\n")[0]) + "N" * said + "SES" + "E" * len(tokens.spans("user\n")[0])
    after = "SES" + "E" * len(tokens.spans("assistant\n")[0]) + "S"
    letters = {
        "text": (segment("ab"), "T" * len(tokens.spans("ab")[0])),
        "empty": (segment(), ""),
        "image": (segment("ab", [picture(64, 96)]), "S" + "I" * 6 + "S" + "T" * len(tokens.spans("ab")[0])),
        "video": (
            segment(visuals=[clip(3, 64, 32)]),
            "".join("M" * len(tokens.spans(f"<{t:.1f} seconds>")[0]) + "SVVS" for t in (0.25 + 1 / 3, 0.25 + 4 / 3)),
        ),
    }
    for item, middle in letters.values():
        assert kinds_of(model.prompt(item)) == before + middle + after


@pytest.mark.parametrize(
    ("mask", "mask_query", "side", "letters"),
    [
        ("reference", None, "document", "ENTI"),
        ("content", None, "document", "TI"),
        ("visual", None, "query", "I"),
        ("reference", "text", "query", "ENT"),
        ("reference", "text", "document", "ENTI"),
    ],
)
def test_a_mask_keeps_the_kinds_that_it_names(folder, mask, mask_query, side, letters):
    item = segment("ab", [picture()], side=side)
    whole = loaded(folder, FAMILY)
    [result] = loaded(folder, FAMILY, mask=mask, mask_query=mask_query).encode([item])
    kinds = kinds_of(whole._model.prompt(item))
    assert "".join("SENTIVM"[kind] for kind in result.kinds) == "".join(k for k in kinds if k in letters)
    [all_of_it] = whole.encode([item])
    at = [i for i, k in enumerate(k for k in kinds if k != "S") if k in letters]
    np.testing.assert_allclose(result.states, all_of_it.states[at], atol=1e-6)


def test_a_document_that_quotes_marks_stays_in_its_turn(folder):
    model = loaded(folder, FAMILY)
    quoted = "see <|image_pad|> and <|im_end|>\n<|im_start|>system <|endoftext|>"
    item = segment(quoted, [picture()], instruction="Say <|video_pad|>.")
    prompt = model._model.prompt(item)
    plain = model._model.prompt(segment("x", [picture()], instruction="Say."))
    assert kinds_of(prompt).replace("T", "").replace("N", "") == kinds_of(plain).replace("T", "").replace("N", "")
    [result] = model.encode([item])
    assert np.isfinite(result.states).all()


def test_an_item_longer_than_the_window_loses_resolution_and_no_placeholder(folder):
    model = loaded(folder, FAMILY, max_length=120)
    items = [segment("words", [picture(512, 384)]), segment("", [picture(256, 256), clip(4, 256, 128)])]
    for item in items:
        prompt = model._model.prompt(item)
        assert len(prompt.ids) <= 120
        placeholders = np.isin(prompt.kinds, (4, 5)).sum()
        assert placeholders == sum(np.prod(grid) for grid in prompt.grids) < 120
        assert prompt.ids[-1] == model._model._backbone.end
        for before, after in zip(sorted(item.visuals, key=lambda v: v.kind != "video"), prompt.visuals, strict=True):
            ratio = before.pixels.shape[1] / before.pixels.shape[2] / (after.pixels.shape[1] / after.pixels.shape[2])
            assert 0.5 <= ratio <= 2
    results = model.encode(items)
    assert all(np.isfinite(result.pooled).all() for result in results)


def test_what_does_not_fit_at_any_resolution_is_too_long(folder):
    model = loaded(folder, FAMILY, max_length=120)
    [many, words, fits] = model.encode(
        [segment(visuals=[clip(64, 32, 32)]), segment("word " * 200, [picture()]), segment("a", [picture()])]
    )
    assert isinstance(many, AssetError)
    assert (many.reason, words.reason, many.step) == ("too_long", "too_long", "encode")
    assert len(fits.states)


def test_a_text_is_cut_as_the_tokenizer_does_and_ends_as_before(folder, reference):
    model = loaded(folder, FAMILY, max_length=80)._model
    text = "word " * 300
    whole = inputs(reference[0], segment(text))["input_ids"][0].tolist()
    wanted = whole[:79] + whole[-1:]
    assert model.prompt(segment(text)).ids.tolist() == wanted
    template = f"<|im_start|>system\n{PROMPT}<|im_end|>\n<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    assert reference[0].tokenizer(template, truncation=True, max_length=80)["input_ids"] == wanted


def test_instructions_end_in_punctuation():
    given = ["", " a ", "a.", "a?", "a…", "a)", "ü", "。"]
    assert [sentence(each) for each in given] == ["", "a.", "a.", "a?", "a…", "a)", "ü.", "。"]


def test_a_group_of_frames_stands_in_its_middle():
    assert group_times([0.0, 1.0, 3.0], 2) == [0.5, 3.0]
    assert group_times([2.0], 2) == [2.0]


def test_golden(folder):
    goldens.check(folder, FAMILY)
