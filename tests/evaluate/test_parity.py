"""The measures of one query against the golden vectors of the reference code, and against a plain rewriting of it."""

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st
from plain_measures import plainly

from smart_jobs.evaluate import parity

GOLDEN = {
    "A": ("abcdef", "c", None, {"ndcg_linear@5": 0.5, "precision@5": 0.2, "f1@5": 0.3333333333, "f1@10": 0.1818181818,
                                "map@5": 0.3333333333, "mrr@5": 0.3333333333}),
    "B": ("abcdef", "afz", None, {"ndcg_linear@1": 1, "ndcg_linear@5": 0.469278726, "ndcg_linear@10": 0.636439181,
                                  "recall@5": 0.3333333333, "recall@10": 0.6666666667, "f1@5": 0.25,
                                  "map@5": 0.3333333333, "map@10": 0.4444444444}),
    "C": ([1, 2, 3, 4, 5, 6], [3, 9, 2], [1, 2, 1],
          {"ndcg_linear@5": 0.5627272554, "ndcg_exponential@5": 0.5792374607, "map@5": 0.3888888889, "mrr@5": 0.5}),
    "D": ([35, 30, 31, 99, 36, 32], list(range(30, 40)), [3 if i == 35 else 2 for i in range(30, 40)],
          {"ndcg_linear@1": 0.6666666667, "ndcg_linear@5": 0.7301181409, "ndcg_linear@10": 0.5698336344,
           "ndcg_exponential@5": 0.588020692}),
    "E": ([4, 3, 0, 99, 5], list(range(24)), [3 if i == 4 else 2 for i in range(24)],
          {"ndcg_linear@1": 1, "ndcg_linear@5": 0.8751104353, "ndcg_linear@10": 0.59834382,
           "ndcg_exponential@5": 0.8994167599}),
    "F": ([1806, 1797, 1798, 5, 6], list(range(1797, 1817)), [3 if i == 1806 else 2 for i in range(1797, 1817)],
          {"ndcg_linear@5": 0.7629290831, "ndcg_linear@10": 0.5216414792}),
    "G": ("xaab", "a", None, {"ndcg_linear@5": 1.1309297536, "map@5": 1.1666666667, "hit@5": 1, "recall@5": 1}),
    "H": ([7, 8, 1, 2, 3], [1, 9], [3, 3],
          {"ndcg_linear@5": 0.3065735964, "ndcg_exponential@5": 0.3065735964, "recall@5": 0.5}),
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_the_reference_is_reproduced_on_the_golden_vectors(name):
    ranked, labels, grades, expected = GOLDEN[name]
    found = parity.measures(list(ranked), list(labels), grades, "reference")
    assert {key: found[key] for key in expected} == pytest.approx(expected, abs=5e-10)


def test_the_sets_of_the_golden_vectors_are_in_the_order_that_they_were_computed_with():
    assert list({3, 9, 2}) == [9, 2, 3]
    assert list(set(range(30, 40))) == [*range(32, 40), 30, 31]
    assert list(set(range(24))) == list(range(24))
    assert list(set(range(1797, 1817))) == list(range(1797, 1817))


def test_corrected_pairs_grades_with_their_own_labels():
    ranked, labels, grades, _ = GOLDEN["C"]
    rest = 1 / np.log2(3) + 1 / np.log2(4)
    found = parity.measures(ranked, labels, grades, "corrected")["ndcg_linear@5"]
    assert found == pytest.approx(rest / (2 + rest), abs=1e-12)
    ranked, labels, grades, _ = GOLDEN["D"]
    assert parity.measures(ranked, labels, grades, "corrected")["ndcg_linear@1"] == 1


def test_corrected_counts_a_repeated_candidate_once_and_moves_up_what_stands_behind_it():
    found = parity.measures(list("xaabcd"), ["a", "d"], None, "corrected")
    assert found == parity.measures(list("xabcd"), ["a", "d"], None, "reference")
    assert found["recall@5"] == 1
    assert max(found.values()) <= 1


def test_corrected_takes_the_higher_of_two_grades_and_none_of_zero():
    found = parity.gains([1, 2, 1, 3], [1, 2, 3, 0], "corrected")
    assert found == {1: 3, 2: 2}


def test_without_labels_the_reference_says_that_all_were_recalled():
    reference = parity.measures(["a"], [], None, "reference")
    assert {name for name, value in reference.items() if value} == {"recall@1", "recall@5", "recall@10"}
    assert reference["recall@5"] == 1
    assert set(parity.measures(["a"], [], None, "corrected").values()) == {0.0}
    assert parity.measures(["a"], [], [], "reference") == reference


@pytest.mark.parametrize(("labels", "said"), [([1, 2], "3 grades for 2 labels"), ([1, 1, 2], "3 grades for 2 labels")])
def test_the_reference_wants_a_grade_for_each_distinct_label(labels, said):
    with pytest.raises(ValueError, match=said):
        parity.measures([1], labels, [1, 2, 3], "reference")


def test_corrected_wants_a_grade_for_each_label():
    assert parity.measures([1], [1, 1, 2], [1, 2, 3], "corrected")["recall@1"] == 0.5
    with pytest.raises(ValueError, match="1 grades for 2 labels"):
        parity.measures([1], [1, 2], [1], "corrected")


def test_the_measures_are_in_the_order_of_the_evaluators():
    head = ["hit@1", "hit@5", "hit@10", "ndcg_linear@1"]
    assert list(parity.measures(["a"], ["a"], None, "reference"))[:4] == head
    assert parity.MEASURES[-1] == "mrr@10"
    assert len(parity.MEASURES) == 24


NAMES = st.one_of(st.integers(0, 40), st.sampled_from("abcdefgh"))


@st.composite
def queries(draw, *, repeated=True, graded=True):
    """A ranking, labels and grades, if any: one for each distinct label, as both parities take them."""
    ranked = draw(st.lists(NAMES, max_size=16, unique=not repeated))
    labels = draw(st.lists(NAMES, max_size=12, unique=True))
    grades = draw(st.one_of(st.none(), st.lists(st.integers(1, 3), min_size=len(labels), max_size=len(labels))))
    return ranked, labels, grades if graded else None


@given(queries())
def test_the_reference_is_equal_to_a_plain_rewriting_to_the_last_digit(query):
    assert parity.measures(*query, "reference") == plainly(*query)


@given(queries(repeated=False, graded=False))
def test_both_agree_where_nothing_is_graded_repeated_or_empty(query):
    ranked, labels, grades = query
    reference = parity.measures(ranked, labels, grades, "reference")
    corrected = parity.measures(ranked, labels, grades, "corrected")
    differing = {name for name in reference if reference[name] != corrected[name]}
    assert differing == (set() if labels else {"recall@1", "recall@5", "recall@10"})


@given(queries(), st.randoms())
def test_corrected_depends_on_no_order_of_labels_and_lies_between_0_and_1(query, random):
    ranked, labels, grades = query
    found = parity.measures(ranked, labels, grades, "corrected")
    assert all(0 <= value <= 1 + 1e-12 for value in found.values())
    order = random.sample(range(len(labels)), len(labels))
    again = [labels[i] for i in order], None if grades is None else [grades[i] for i in order]
    assert parity.measures(ranked, *again, "corrected") == found


THEIRS = {"ndcg_linear": "ndcg_cut", "precision": "P", "recall": "recall", "hit": "success"}


@given(queries())
def test_corrected_is_what_trec_eval_says(query):
    ranked, labels, grades = query
    if not ranked or not labels:
        return  # it says nothing there
    places = {str(name): float(-place) for place, name in reversed(list(enumerate(ranked)))}
    judged = dict(zip(map(str, labels), grades or [1] * len(labels), strict=True))
    wanted = {f"{theirs}.1,5,10" for theirs in THEIRS.values()}
    expected = pytrec_eval.RelevanceEvaluator({"q": judged}, wanted).evaluate({"q": places})["q"]
    found = parity.measures(ranked, labels, grades, "corrected")
    for ours, theirs in THEIRS.items():
        for cut in parity.CUTS:
            assert found[f"{ours}@{cut}"] == pytest.approx(expected[f"{theirs}_{cut}"], abs=1e-9), (ours, cut)
