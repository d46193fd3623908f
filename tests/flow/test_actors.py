"""A unit through the encode stage, without Ray: what is loaded, when, and what is left behind."""

from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest
from lake_making import embed, failure_row, make_segment, make_tables

from smart_jobs import wire
from smart_jobs.flow import actors, stream
from smart_jobs.records import Asset, Attached, Planned


class Whole:
    """An encoder that looks for the marker of the unit it is working on."""

    def __init__(self, tables, seen):
        self.spec, self._folder, self._seen = tables.spec, Path(tables.uri, "_inflight"), seen

    def encode(self, segments):
        self._seen.append([path.name for path in self._folder.iterdir()])
        return [embed(segment) for segment in segments]


def unit(segments=(), failures=()):
    rows = [{**asdict(segment), "meta": list(segment.meta.items())} for segment in segments]
    row = {"unit": "u1", "segments": rows, "failures": list(failures), "assets": []}
    return pa.Table.from_pylist([row], schema=wire.UNIT)


def test_a_unit_without_segments_loads_no_model(tmp_path):
    def load():
        raise AssertionError("nothing is to be encoded")

    made = actors.receipt(unit(failures=[failure_row("a", "v")]), make_tables(tmp_path), load, "run")
    [row] = made.to_pylist()
    assert ([failure["asset_id"] for failure in row["failures"]], row["pooled"], row["states"]) == (["a"], [], [])
    assert made.schema.equals(wire.RECEIPT)


def test_a_unit_is_marked_while_it_is_worked_on(tmp_path):
    tables, seen = make_tables(tmp_path), []
    made = actors.receipt(
        unit([make_segment("u", "v", 0, 1)], [failure_row("a", "v")]), tables, lambda: Whole(tables, seen), "run"
    )
    [row] = made.to_pylist()
    assert (len(row["pooled"]), len(row["failures"]), [step for step, _ in row["seconds"]]) == (
        1,
        1,
        ["load", "encode", "write"],
    )
    assert seen == [["u1.json"]]
    assert not list(Path(tables.uri, "_inflight").iterdir())


def test_a_receipt_that_cannot_be_made_leaves_the_marker(tmp_path):
    tables = make_tables(tmp_path)

    class Wrong(Whole):
        def encode(self, segments):
            return [embed(segment, dim=3) for segment in segments]

    with pytest.raises(ValueError, match="expected pooled"):
        actors.receipt(unit([make_segment("u", "v", 0, 1)]), tables, lambda: Wrong(tables, []), "run")
    assert [path.name for path in Path(tables.uri, "_inflight").iterdir()] == ["u1.json"]


def test_a_plan_is_the_same_behind_the_journey_to_its_actor():
    files = (Attached("f/a.png", "image", "3:4"), Attached("f/b.mp4", "video", ""), Attached("f/0", "frame", "5:6"))
    plan = [
        Planned(Asset("t#1", "s", "x+y", "row", 9, "title", "text", "query", "find", {"k": "v"}, files, True)),
        Planned(Asset("a.pdf", "s", "1:2", "document", 3), frozenset({"v", "w"}), {"u": frozenset({0, 2})}),
    ]
    assert [actors.planned(row) for block in stream.blocks(plan, 100) for row in block.to_pylist()] == plan
