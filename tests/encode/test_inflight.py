"""The marker of a unit against a world in which workers die: who is found, how often anything is tried."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_making import embed, make_segment, make_spec

from smart_jobs.encode.inflight import ALONE_FROM, UNEXPLAINED, InFlight
from smart_jobs.records import AssetError, JobError


class Killed(BaseException):
    """The worker is gone: nothing in it gets to do anything any more."""


class Deadly:
    """Dies on poison; `asked` are the calls that it lived to see."""

    def __init__(self, poison, asked):
        self.spec, self._poison, self._asked = make_spec(), poison, asked

    def encode(self, segments):
        self._asked.append([segment.ordinal for segment in segments])
        if self._poison & set(self._asked[-1]):
            raise Killed
        return [embed(segment) for segment in segments]


def some(count):
    return [make_segment("u", "v", ordinal, count) for ordinal in range(count)]


def until_done(marker, segments, poison, run_id="run"):
    """The results after as many workers as it takes, and what each encoder call was asked for."""
    asked: list[list[int]] = []
    while True:
        try:
            mark = InFlight(marker, run_id)
            results = mark.encode(Deadly(poison, asked), segments)
        except Killed:
            continue
        mark.done()
        return results, asked


def killers(results):
    return {i for i, result in enumerate(results) if isinstance(result, AssetError) and result.reason == "worker_died"}


@given(st.integers(1, 8), st.data())
@settings(max_examples=60, deadline=None)
def test_every_poison_segment_is_found_and_no_other(tmp_path_factory, count, data):
    poison = data.draw(st.sets(st.integers(0, count - 1)))
    marker = tmp_path_factory.mktemp("lake") / "unit.json"
    segments = some(count)
    results, asked = until_done(str(marker), segments, poison)
    assert killers(results) == poison
    for i in set(range(count)) - poison:
        assert (results[i].pooled == embed(segments[i]).pooled).all()
    whole = list(range(count))
    assert asked[: ALONE_FROM - 1] == [whole] * (ALONE_FROM - 1 if poison else 1)
    alone = Counter(ordinal for call in asked[ALONE_FROM - 1 :] for ordinal in call)
    assert all(len(call) == 1 for call in asked[ALONE_FROM - 1 :])
    assert all(alone[ordinal] == 1 for ordinal in poison)
    assert not marker.exists()


def test_three_deaths_and_it_is_recorded(tmp_path):
    results, asked = until_done(str(tmp_path / "unit.json"), some(4), {2})
    assert asked == [[0, 1, 2, 3], [0, 1, 2, 3], [0], [1], [2], [0], [1], [3]]
    assert (results[2].reason, results[2].step) == ("worker_died", "encode")


def test_the_marker_of_another_run_does_not_count(tmp_path):
    marker = str(tmp_path / "unit.json")
    for _ in range(5):
        InFlight(marker, "yesterday")
    asked: list[list[int]] = []
    InFlight(marker, "today").encode(Deadly(set(), asked), some(3))
    assert asked == [[0, 1, 2]]


def test_losing_the_marker_costs_only_attempts(tmp_path):
    marker = tmp_path / "unit.json"
    with pytest.raises(Killed):
        InFlight(str(marker), "run").encode(Deadly({1}, []), some(3))
    marker.unlink()
    results, asked = until_done(str(marker), some(3), {1})
    assert killers(results) == {1}
    assert asked[:2] == [[0, 1, 2]] * 2


def test_a_segment_is_marked_before_it_is_tried(tmp_path):
    marker, segments, seen = tmp_path / "unit.json", some(3), []

    class Looking(Deadly):
        def encode(self, segments):
            seen.append((json.loads(marker.read_text())["trying"], [segment.segment_id for segment in segments]))
            return super().encode(segments)

    for _ in range(ALONE_FROM):
        mark = InFlight(str(marker), "run")
    mark.encode(Looking(set(), []), segments)
    assert seen == [(segment.segment_id, [segment.segment_id]) for segment in segments]
    assert json.loads(marker.read_text())["trying"] is None


def test_deaths_that_no_segment_explains_end_the_run(tmp_path):
    """The model does not load, or the receipt cannot be made: nobody in the unit is to blame."""
    marker = str(tmp_path / "abcd.json")
    for _ in range(UNEXPLAINED):
        InFlight(marker, "run")
    with pytest.raises(JobError, match=rf"{UNEXPLAINED} workers died with unit abcd in hand, and no segment"):
        InFlight(marker, "run")


def test_many_killers_are_no_sick_machine(tmp_path):
    count = 3 * UNEXPLAINED
    results, _ = until_done(str(tmp_path / "unit.json"), some(count), set(range(count)))
    assert killers(results) == set(range(count))
    assert not list(Path(tmp_path).iterdir())
