"""What a report says of tasks: means only of what is whole, gains query by query, the worst queries first."""

import numpy as np
import pytest

from smart_jobs.evaluate import reporting
from smart_jobs.evaluate.completeness import Expected
from smart_jobs.evaluate.scoring import Result
from smart_jobs.evaluate.tasks import Item, Query, Task

NAMES = ("a", "b", "c")


def a_task(name="t", category="CLS", count=3):
    queries = [Query(str(i), Item(f"what is {i}"), {NAMES[i % 3]: 1.0}) for i in range(count)]
    candidates = {key: Item(f"text of {key}", title="title") for key in NAMES}
    return Task(name, queries, candidates, "mmeb", "hit@1", category=category, modality="image",
                published={"peer": 0.5})  # fmt: skip


def a_result(scoring, task, ranks):
    """Each query finds its right candidate at this rank; 0: not at all."""
    measures, hits = {}, {}
    for query, rank in zip(task.queries, ranks, strict=True):
        [right] = query.relevant
        others = [(name, 1.0) for name in NAMES if name != right]
        hits[query.name] = others if rank == 0 else [*others[: rank - 1], (right, 0.5), *others[rank - 1 :]]
        measures[query.name] = {"hit@1": float(rank == 1)}
    return Result(scoring, measures, hits)


def measured(task, pooled=(1, 2, 0), hybrid=(1, 1, 0), failed=0):
    results = [a_result("pooled", task, pooled), a_result("late", task, hybrid), a_result("hybrid", task, hybrid)]
    return reporting.measured(task, results, 3, failed), results


def test_the_worst_queries_come_first_and_right_ones_not_at_all():
    task = a_task(count=5)
    seen = []
    shown = reporting.examples(task, a_result("hybrid", task, (2, 1, 0, 3, 2)), lambda item: seen.append(item) or b"x")
    assert [(each.query.name, each.rank) for each in shown] == [("2", None), ("3", 3), ("0", 2), ("4", 2)]
    assert shown[0].right.name == "c"
    assert shown[0].right.score is None
    assert shown[0].first.score == 1.0
    assert shown[0].right.text == "title\ntext of c"
    assert shown[0].query.text == "what is 2"
    assert len(seen) == 3 * len(shown)


def test_no_more_than_a_few_are_shown():
    task = a_task(count=20)
    assert len(reporting.examples(task, a_result("late", task, [2] * 20), lambda _: None)) == reporting.WORST


def test_a_mean_is_of_what_is_as_promised_and_says_what_is_left_out():
    one, two = a_task("one"), a_task("two", count=2)
    first, _ = measured(one)
    second, _ = measured(two, (1, 2), (1, 1))
    promised = [Expected("one", ("CLS", "image"), 3, (3, 3)), Expected("two", ("CLS", "image"), 1000, None),
                Expected("three", ("QA", "image"), 5, None)]  # fmt: skip
    means = {mean.name: mean for mean in reporting.means([first, second], promised)}
    assert set(means) == {"CLS", "image", "ALL"}
    assert (means["CLS"].there, means["CLS"].of) == (1, 2)
    assert (means["image"].there, means["image"].of, means["ALL"].of) == (1, 3, 3)
    assert means["CLS"].scores["hybrid"].value == pytest.approx(2 / 3)
    assert means["CLS"].published == {"peer": 0.5}


def test_without_a_promise_all_tasks_count():
    parts = [measured(a_task("one"))[0], measured(a_task("two", "QA", 2), (1, 2), (1, 1))[0]]
    means = {mean.name: mean for mean in reporting.means(parts, [])}
    assert means["ALL"].scores["hybrid"].value == pytest.approx(np.mean([2 / 3, 1.0]))
    assert means["QA"].scores["pooled"].value == pytest.approx(0.5)
    assert means["ALL"].gain.value == pytest.approx(np.mean([1 / 3, 0.5]))


def test_a_task_says_how_it_differs_and_what_hybrid_gains():
    task = a_task()
    own, results = measured(task, failed=2)
    part = reporting.task_part(task, own, results, Expected("t", (), 4, None), ["a: damaged"], lambda _: None)
    assert part.unlike_expected == "3 queries, expected 4"
    assert (part.failed, part.failures, part.queries, part.candidates) == (2, ["a: damaged"], 3, 3)
    assert part.gain.value == pytest.approx(1 / 3)
    assert part.gain.low <= part.gain.value <= part.gain.high
    assert [each.query.name for each in part.examples] == ["2"]


def test_where_nothing_could_be_measured_there_are_no_scores():
    task = a_task()
    own = reporting.measured(task, [], 0, 3)
    part = reporting.task_part(task, own, [], None, [], lambda _: None)
    assert (part.scores, part.gain, part.examples) == ({}, None, [])
    assert reporting.means([own], []) == []
