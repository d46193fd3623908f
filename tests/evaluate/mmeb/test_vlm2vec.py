"""VLM2Vec's words: through the encoder's own prompt they are the very tokens of its evaluator's texts."""

from itertools import groupby
from pathlib import Path

import mmeb_making
import mmeb_protocol
import mmeb_protocol_items
import pytest
import tiny_vl
from seeing import clip, loaded, picture, segment

from smart_jobs.evaluate.mmeb import definition, suite
from smart_jobs.evaluate.mmeb.rows import Said, Shown
from smart_jobs.evaluate.mmeb.vlm2vec import VLM2Vec
from smart_jobs.keys import Suite

LABELS = Path(__file__).parents[3] / "conf" / "suite" / "mmeb_v2" / "labels"
RECORDS = definition.read(None)
SEEN = Shown("image", "a.jpg")


def collapsed(ids, pads):
    """Each run of a visual's tokens as one."""
    return [token for token, run in groupby(ids) for token in ([token] if token in pads else run)]


def test_every_prompt_has_the_tokens_of_the_evaluators_text(tmp_path):
    definition = mmeb_making.make(tmp_path / "data")
    found = suite.opened(
        Suite(name="mmeb_v2", path=str(tmp_path / "data"), definition=definition), "vlm2vec"
    )  # fmt: skip
    assert found.profile == "vlm2vec"
    model = loaded(tiny_vl.checkpoint(tmp_path / "tiny", "vlm2vec"), "vlm2vec", max_length=4096)._model
    tokenizer = model._backbone.tokenizer
    pads = {tokenizer.id_of(mmeb_protocol_items.IMG), tokenizer.id_of(mmeb_protocol_items.VID)}
    wanted = mmeb_protocol.read(tmp_path / "data", "vlm2vec", LABELS)
    checked = set()
    for key in found.tasks():
        task = found.load(key)
        pairs = [(query.item, asked) for query, asked in zip(task.queries, wanted[key]["queries"], strict=True)]
        pairs += [(item, wanted[key]["candidates"][name]) for name, item in task.candidates.items()]
        for item, said in pairs:
            if said["text"] and (said["text"], said["kind"]) not in checked:
                checked.add((said["text"], said["kind"]))
                visuals = {"text": [], "image": [picture(56, 56)], "video": [clip(2, 56, 56)]}[said["kind"]]
                prompt = model.prompt(segment(item.text, visuals, instruction=item.instruction))
                assert collapsed(prompt.ids.tolist(), pads) == tokenizer.spans(said["text"])[0], (key, said["text"])
    assert len(checked) > 1000


@pytest.mark.parametrize(
    ("task", "instruction", "text", "wanted"),
    [
        ("N24News", "<|image_1|>\nRepresent it: \n", "one \ntwo", ("\nRepresent it:\n", "one\ntwo\n")),
        ("N24News", "<|image_1|>\nRepresent it:", "", ("\nRepresent it:\n", "")),
        ("GQA", " <|image_1|>\nRepresent it: \n", "what?", ("\nRepresent it:", "what?\n")),
        ("GQA", "<|image_1|>\nRepresent it:", "\nwhat \n?", ("\nRepresent it:\nwhat\n?\n", "")),
        ("CIRR", "Represent it:", "", ("\nRepresent it:\n", "")),
    ],
)
def test_a_query_beside_an_image(task, instruction, text, wanted):
    """The whole is the evaluator's: placeholder, space, instruction, space, text; no space before a line end."""
    found = VLM2Vec().query(RECORDS[task], Said(text, instruction, SEEN))
    assert (found.instruction, found.text) == wanted
    raw = instruction.replace("<|image_1|>", "")
    raw = raw if task == "N24News" else f"\n{raw.strip()}"
    reference = f"IMG {raw} {text}" if text else f"IMG {raw}"
    space = "" if found.instruction.startswith("\n") else " "
    behind = f" {found.text}" if found.text else ""
    assert f"IMG{space}{found.instruction}{behind}" == reference.replace(" \n", "\n") + "\n"


@pytest.mark.parametrize(("task", "end"), [("WebQA", "\n"), ("VisDial", "\n\n")])
def test_a_query_that_is_a_text_keeps_the_token_and_its_white_space(task, end):
    said = Said("Q: one \nA: two\n", "<|image_1|>\nFind it: ")
    found = VLM2Vec().query(RECORDS[task], said)
    assert found.instruction == "<|image_pad|>\nFind it: "
    assert found.text == f"Q: one \nA: two\n{end}"


@pytest.mark.parametrize(
    ("task", "text", "captioned", "wanted"),
    [
        ("EDIS", "a caption", True, ("\nRepresent it:", "a caption\n")),
        ("EDIS", "", True, ("\nRepresent it:", "\n")),
        ("EDIS", "a caption", False, ("\nRepresent it:\n", "")),
        ("OVEN", "a caption", True, ("\nRepresent it:", "a caption\n")),
        ("OVEN", "a caption", False, ("\nRepresent it:", "")),
    ],
)
def test_a_candidate_has_its_caption_as_the_rows_first_has_one(task, text, captioned, wanted):
    said = Said(text, "<|image_1|>\nRepresent it:", SEEN)
    found = VLM2Vec().candidate(RECORDS[task], said, captioned=captioned)
    assert (found.instruction, found.text) == wanted


def test_a_text_alone_is_raw_and_an_outer_space_of_an_instruction_counts():
    found = VLM2Vec().candidate(RECORDS["K700"], Said("waving hand"), captioned=True)
    assert (found.instruction, found.text) == ("", "waving hand")
    found = VLM2Vec().query(RECORDS["Breakfast"], Said(shown=Shown("video", "v")))
    assert found.instruction.endswith("video. ")
