"""All queries at once against one at a time: equal to the last digit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_jobs.evaluate import judgements, parity

NAMES = st.one_of(st.integers(0, 25), st.sampled_from("abcdefgh"))


@st.composite
def tasks(draw):
    """Rankings with repetitions, labels and grades of a few queries; some labels are no candidates."""
    ranked, labels, grades = [], [], []
    for _ in range(draw(st.integers(1, 5))):
        ranked.append(draw(st.lists(NAMES, max_size=30)))
        labels.append(draw(st.lists(NAMES, max_size=14, unique=True)))
        exact = st.lists(
            st.one_of(st.integers(0, 4), st.floats(0.1, 5)), min_size=len(labels[-1]), max_size=len(labels[-1])
        )
        grades.append(draw(st.one_of(st.none(), exact)))
    return ranked, labels, grades


def numbered(ranked):
    """Numbers of the names, in an order of no meaning, and the rankings as an array of them."""
    names = sorted({name for row in ranked for name in row}, key=lambda name: hash(str(name)))
    numbers = {name: 3 * i for i, name in enumerate(names)}
    rows = np.full((len(ranked), max(map(len, ranked))), judgements.NOTHING)
    for at, row in enumerate(ranked):
        rows[at, : len(row)] = [numbers[name] for name in row]
    return numbers, rows


@pytest.mark.parametrize("kind", ["reference", "corrected"])
@given(task=tasks())
def test_all_at_once_are_one_at_a_time_to_the_last_digit(kind, task):
    ranked, labels, grades = task
    numbers, rows = numbered(ranked)
    found = judgements.measure(rows, judgements.judge(labels, grades, numbers, kind))
    expected = [parity.measures(*query, kind) for query in zip(*task, strict=True)]
    assert [dict(zip(parity.MEASURES, row, strict=True)) for row in found.tolist()] == expected


@given(task=tasks())
def test_ten_places_are_enough_for_the_reference(task):
    ranked, labels, grades = task
    numbers, rows = numbered(ranked)
    judged = judgements.judge(labels, grades, numbers, "reference")
    assert np.array_equal(judgements.measure(rows[:, :10], judged), judgements.measure(rows, judged))


def test_a_task_without_any_candidate_or_label():
    for kind in ("reference", "corrected"):
        judged = judgements.judge([["a"], []], [None, None], {}, kind)
        found = judgements.measure(np.empty((2, 0), np.int64), judged)
        expected = [parity.measures([], labels, None, kind) for labels in (["a"], [])]
        assert [dict(zip(parity.MEASURES, row, strict=True)) for row in found.tolist()] == expected


def test_labels_and_grades_have_to_go_together():
    with pytest.raises(ValueError, match="1 grades for 2 labels"):
        judgements.judge([[1, 2]], [[1]], {1: 0, 2: 1}, "corrected")


def test_means_are_those_of_the_evaluators():
    values = np.random.default_rng(0).random((1003, 24))
    found = judgements.means(values)
    assert list(found) == list(parity.MEASURES)
    assert list(found.values()) == [float(np.mean(list(column))) for column in values.T]
    with pytest.raises(ValueError, match="no query"):
        judgements.means(values[:0])


def test_what_is_corrected_is_stored_where_it_differs():
    labels, grades, numbers = [[3, 9, 2], [1]], [[1, 2, 1], [1]], {i: i for i in range(1, 7)}
    rows = np.array([[1, 2, 3, 4, 5, 6]] * 2)
    reference, corrected = (
        judgements.measure(rows, judgements.judge(labels, grades, numbers, kind)) for kind in ("reference", "corrected")
    )
    stored = judgements.both(reference, corrected)
    differing = [name for name in stored if name.endswith(judgements.CORRECTED)]
    assert differing == [f"ndcg_{form}@{cut}:corrected" for form in ("linear", "exponential") for cut in (5, 10)]
    assert list(stored)[:24] == list(parity.MEASURES)
    for query in (0, 1):
        row = {name: values[query] for name, values in stored.items()}
        expected = parity.measures(list(range(1, 7)), labels[query], grades[query], "corrected")
        assert {name: judgements.value(row, f"{name}:corrected") for name in parity.MEASURES} == expected
        assert judgements.value(row, "hit@1") == row["hit@1"]
    assert judgements.value(row, "ndcg@10") is None
