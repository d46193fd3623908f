"""Texts cut at their tokens, laid out in lines, and drawn."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sheets import LETTERS, redness

from smart_jobs.draw import shading
from smart_jobs.draw.shading import RETURN, Run

TEXTS = st.text(alphabet="ab c\n", max_size=40)


@given(TEXTS, st.data())
def test_runs_are_the_text_with_the_heat_of_its_tokens(text, data):
    """Whatever the spans: no character is lost but white space at the end, and line ends of tokens are seen."""
    edges = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    spans = np.array(list(pairwise(edges)), np.int64).reshape(-1, 2)
    heats = np.linspace(0, 1, max(len(spans), 1))[: len(spans)]
    runs = shading.runs(text, spans, heats, [""] * len(spans))
    assert "".join(run.text for run in runs).replace(RETURN, "").rstrip() == text.rstrip()
    hot = [run for run in runs if run.heat is not None]
    wanted = [float(heat) for (start, end), heat in zip(spans.tolist(), heats, strict=True) if end > start]
    assert [run.heat for run in hot] == wanted


def test_the_space_before_a_word_is_not_shaded_and_tokens_of_one_character_are_one_run():
    spans = np.array([(0, 1), (1, 4), (4, 5), (4, 5), (5, 5)])
    runs = shading.runs("a bé語 x", spans[:4], np.array([0.1, 0.2, 0.3, 0.9]), ["", "n", "p", "q"])
    assert runs == [Run("a", 0.1), Run(" "), Run("bé", 0.2, "n"), Run("語", 0.9, "p, q"), Run(" x")]
    assert shading.runs("a\nb", np.array([(0, 2)]), np.ones(1), ["n"]) == [Run(f"a{RETURN}\n", 1.0, "n"), Run("b")]
    assert shading.runs("a", spans[4:], np.ones(1), ["n"]) == [Run("a")]


def test_tokens_that_overlap_share_what_they_have_in_common():
    runs = shading.runs("abcd", np.array([(0, 3), (2, 4)]), np.array([0.1, 0.2]), ["", ""])
    assert runs == [Run("abc", 0.1), Run("d", 0.2)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="abc", min_size=1, max_size=9), min_size=1, max_size=30), st.integers(60, 300))
def test_lines_hold_every_word_whole_and_are_not_too_wide(words, width):
    text = " ".join(words)
    edges = np.cumsum([0, *(len(word) + 1 for word in words)])
    spans = np.c_[edges[:-1], edges[1:] - 1]
    found = shading.lines(shading.runs(text, spans, np.ones(len(words)), [""] * len(words)), LETTERS, 15, width)
    said = ["".join(run.text for run in line).split() for line in found]
    assert [word for line in said for word in line] == words
    for line in found:
        wide = sum(LETTERS.width(run.text, 15) for run in line)
        assert wide <= width or len([run for run in line if not run.text.isspace()]) == 1


def test_what_has_no_space_is_broken_between_tokens():
    runs = [Run("aaaa", 1.0), Run("bbbb", 1.0), Run("cccc", 1.0)]
    width = int(LETTERS.width("aaaabbbb", 15)) + 2
    found = shading.lines(runs, LETTERS, 15, width)
    assert [[run.text for run in line] for line in found] == [["aaaa", "bbbb"], ["cccc"]]


def test_of_many_lines_those_stay_that_have_notes_or_heat_and_their_neighbours():
    found = [[Run(f"line {i}", 0.5 if i == 30 else 0.0, "note" if i == 10 else "")] for i in range(40)]
    kept = ["".join(run.text for run in line) for line in shading.shortened(found, 20)]
    assert kept == ["line 0", "line 1", "line 2", "…", "line 9", "line 10", "line 11", "…", "line 29", "line 30",
                    "line 31", "…"]  # fmt: skip
    assert shading.shortened(found, 40) == found


def test_near_a_run_means_so_many_characters_before_and_behind():
    runs = [Run(f"{i:02d}", 0.5) for i in range(20)]
    assert [run.text for run in shading.around(runs, 10, 3)] == ["… ", "08", "09", "10", "11", "12", " …"]
    assert [run.text for run in shading.around(runs, 0, 100)] == [run.text for run in runs]


def test_the_hottest_word_is_the_reddest_and_what_is_no_state_has_no_colour():
    """Three words on a line, the second hot, the third cold, the first no state."""
    line = [Run("aaaa "), Run("bbbb", 1.0, "n"), Run(" "), Run("cccc", 0.4)]
    red = redness(np.asarray(shading.drawn([line], LETTERS, 20, 400)))
    ends = np.cumsum([0, *(LETTERS.width(run.text, 20) for run in line)]).round().astype(int)
    first, hot, _, cold = (red[20:, start + 1 : end - 1].max() for start, end in pairwise(ends))
    assert first == 0 < cold < hot
    blue = -red[:14, ends[1] : ends[2]].min()
    assert blue > 50, "the note stands above the word that it is of"
    assert red[:14, : ends[1] - 1].any() == red[:14, ends[2] + 20 :].any() == False  # noqa: E712
