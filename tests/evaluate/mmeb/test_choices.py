"""How a question's options become candidates, case by case of the protocol."""

import pytest

from smart_jobs.evaluate.mmeb import choices
from smart_jobs.evaluate.mmeb.dialect import Options
from smart_jobs.evaluate.mmeb.qwen import Qwen
from smart_jobs.evaluate.mmeb.rows import Choice, Shown
from smart_jobs.evaluate.mmeb.vlm2vec import VLM2Vec

VIDEO = Shown("video", "v")


def pair(parser, options, answer, how, question="Q"):
    found = choices.pair(parser, Choice(VIDEO, question, options, answer), how)
    assert found.query.shown == VIDEO
    return (found.query.text, [name for name, _ in found.candidates], [said.text for _, said in found.candidates],
            dict(found.relevant))  # fmt: skip


@pytest.mark.parametrize(
    ("option", "cut", "whole"),
    [
        ("C. Berries.", "Berries", "Berries"),
        ("A. one. two", "one. two", "one. two"),
        ("no mark", "k", "no mark"),
        ("no mark.", "", "no mark"),
        ("D.", "", "D"),
        ("B.  . x", "x", "x"),
    ],
)
def test_what_is_cut_from_an_option(option, cut, whole):
    assert pair("videomme", [option], 0, VLM2Vec.options) == (f"Q\n{option}", [option], [cut], {option: 1.0})
    assert pair("videomme", [option], 0, Qwen.options)[2] == [whole]
    for how in (Qwen.options, VLM2Vec.options):
        assert pair("egoschema", [option], 0, how)[2] == [cut]


def test_egoschemas_question_and_options():
    options = ["A. one", "B. two"]
    assert pair("egoschema", options, 1, Qwen.options)[0] == "Q A. one B. two"
    assert pair("egoschema", options, 1, VLM2Vec.options)[0] == "QA. one B. two"
    assert pair("egoschema", options, 1, VLM2Vec.options)[3] == {"B. two": 1.0}


def test_nextqas_candidates_are_lettered_in_one_profile_alone():
    options = ["river", "sea", "river"]
    text = "Q\nOptions:\n(A) river\n(B) sea\n(C) river"
    lettered = ["(A) river", "(B) sea", "(C) river"]
    assert pair("nextqa", options, 2, Qwen.options) == (text, lettered, lettered, {"(C) river": 1.0})
    assert pair("nextqa", options, 2, VLM2Vec.options) == (text, options, options, {"river": 1.0})


@pytest.mark.parametrize(("answer", "right"), [("two", "(C) two"), ("one", "(A) one"), ("three", "(@) three")])
def test_mvbenchs_answer_is_told_by_what_it_says(answer, right):
    """Of two that say it the last; where none does the label is one that no candidate has."""
    for how in (Qwen.options, VLM2Vec.options):
        text, names, texts, relevant = pair("mvbench", ["one", "two", "two"], answer, how)
        assert names == texts == ["(A) one", "(B) two", "(C) two"]
        assert relevant == {right: 1.0}
        assert text == "Q\nOptions:\n(A) one\n(B) two\n(C) two"


def test_white_space_behind_the_last_option_goes():
    assert pair("mvbench", ["one", "two \n"], "one", Qwen.options)[0] == "Q\nOptions:\n(A) one\n(B) two"


def test_activitynetqa_asks_yes_or_no():
    found = pair("activitynetqa", ("yes", "no"), "no", Options("", lettered=True, unmarked_whole=True), "is it")
    assert found == ("is it? (A) yes; (B) no.", ["yes", "no"], ["yes", "no"], {"no": 1.0})
