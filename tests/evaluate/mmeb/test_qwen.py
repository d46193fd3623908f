"""Qwen's words, where they differ from the columns."""

import pytest

from smart_jobs.evaluate.mmeb import definition
from smart_jobs.evaluate.mmeb.qwen import Qwen
from smart_jobs.evaluate.mmeb.rows import Said, Shown

RECORDS = definition.read(None)
IMAGE, VIDEO = Shown("image", "a.jpg"), Shown("video", "v")


def query(task, *said):
    found = Qwen().query(RECORDS[task], Said(*said))
    return found.instruction, found.text


def test_an_instruction_of_the_data_loses_token_and_white_space_and_the_text_nothing():
    assert query("GQA", " what?\n", " <|image_1|>\nAnswer it: \n", IMAGE) == ("Answer it:", " what?\n")
    assert query("VisDial", "Q: a\nA: b\n", "Find it:\n") == ("Find it:", "Q: a\nA: b\n")
    assert query("WebQA", "who?", "<|image_1|>\nFind it:") == ("Find it:", "who?")


def test_an_instruction_of_the_protocol_goes_by_what_is_shown():
    assert query("MomentSeeker", "a")[0] == "Find the clip that corresponds to the given text."
    assert query("MomentSeeker", "a", "", IMAGE)[0].endswith("the given text and image.")
    assert query("MomentSeeker", "a", "", VIDEO)[0].endswith("the given sentence and video segment.")
    assert query("NExTQA", "a", "", VIDEO)[0].endswith("your chosen answer.")
    assert query("MSVD", "a") == ("Find the video snippet that corresponds to the given summary.", "a")


@pytest.mark.parametrize(
    ("task", "text", "captioned", "wanted"),
    [
        ("WebQA", " a caption\n", False, "a caption"),
        ("WebQA", " \n", True, ""),
        ("OVEN", " a caption\n", True, " a caption\n"),
        ("OVEN", "a caption", False, ""),
        ("OVEN", "", True, ""),
    ],
)
def test_captions_one_by_one_or_as_the_first(task, text, captioned, wanted):
    found = Qwen().candidate(RECORDS[task], Said(text, "Represent it", IMAGE), captioned=captioned)
    assert (found.instruction, found.text) == ("", wanted)


def test_a_text_is_raw_and_a_video_alone():
    assert Qwen().candidate(RECORDS["OK-VQA"], Said(" "), captioned=True).text == " "
    assert Qwen().candidate(RECORDS["QVHighlight"], Said(shown=VIDEO), captioned=False).instruction == ""
