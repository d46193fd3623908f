"""What the tokens of stored states are: it comes back, a mask can be applied later, and upkeep keeps it."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from lake_making import embed, make_committer, make_segment, make_tables, rows_of

from smart_jobs import masks, schema, wire
from smart_jobs.flow import maintaining
from smart_jobs.keys import Lake
from smart_jobs.lake import layout, writer
from smart_jobs.lake.reader import StatesReader
from smart_jobs.records import JobError
from smart_jobs.settings import Maintain

DIM = 4
KINDS = [
    [masks.TEMPLATE, masks.INSTRUCTION, masks.IMAGE, masks.IMAGE, masks.TEXT, masks.TEMPLATE],
    [masks.TEMPLATE, masks.TIME, masks.VIDEO, masks.VIDEO, masks.VIDEO],
    [masks.TEMPLATE, masks.TEMPLATE],
    None,
]
SAID = [([1, 1, 2], []), ([1, 1, 3], [0.0, 0.5]), ([], []), ([], [])]


def embedding(number):
    kinds = KINDS[number]
    states = np.random.default_rng(number).standard_normal((len(kinds or "abc"), DIM)).astype(np.float32)
    grid, times = SAID[number]
    told = None if kinds is None else np.array(kinds, np.uint8)
    return replace(embed(make_segment("x", "v", 0, 1)), states=states, kinds=told, grids=(tuple(grid),) if grid else (),
                   times=tuple(times))  # fmt: skip


@pytest.fixture
def lake(tmp_path):
    tables = make_tables(tmp_path)
    committer = make_committer(tables)
    segments = [make_segment(f"u{number}", "v1", 0, 1) for number in range(len(KINDS))]
    for number, segment in enumerate(segments):
        unit = {"unit": f"u{number}", "segments": [], "copies": [], "failures": [], "assets": []}
        row = pa.Table.from_pylist([unit], schema=wire.UNIT)
        committer.add(writer.receipt(tables, row, [segment], [embedding(number)], "r"))
        committer.commit()
    return tables, np.array([segment.segment_id for segment in segments])


def told(tables):
    return {
        row["segment_id"]: tuple(row[name] for name in schema.TOKENS) for row in rows_of(tables, schema.HIDDEN_STATES)
    }


def expected(ids):
    runs = [None if kinds is None else masks.runs(np.array(kinds)) for kinds in KINDS]
    return {int(ids[number]): (runs[number], *(part or None for part in SAID[number])) for number in range(len(KINDS))}


def test_what_tokens_are_is_stored_as_runs(lake):
    tables, ids = lake
    assert told(tables) == expected(ids)


@pytest.mark.parametrize("mask", masks.POLICIES)
def test_a_mask_applied_to_stored_states_is_the_mask_of_the_encoder(lake, mask):
    tables, ids = lake
    found = StatesReader(layout.snapshot(tables)).masked(ids[:3], mask)
    whole = StatesReader(layout.snapshot(tables)).read(ids[:3])
    for number, kinds in enumerate(KINDS[:3]):
        states = whole.values[whole.offsets[number] : whole.offsets[number + 1]]
        wanted = [row for row, kind in zip(states, kinds, strict=True) if kind in masks.POLICIES[mask]]
        part = found.values[found.offsets[number] : found.offsets[number + 1]]
        np.testing.assert_array_equal(part, np.array(wanted, np.float32).reshape(-1, DIM))


def test_where_nothing_is_said_of_tokens_a_mask_is_refused_in_one_line(lake):
    tables, ids = lake
    with pytest.raises(JobError, match=f"^segment {ids[3]}: what its tokens are is not stored; mask=content needs"):
        StatesReader(layout.snapshot(tables)).masked(ids, "content")


@pytest.mark.parametrize("changed", [{}, {"codec": "int8"}])
def test_compaction_and_transcoding_keep_it(lake, changed):
    tables, ids = lake
    before = StatesReader(layout.snapshot(tables)).masked(ids[:3], "content")
    maintaining.run(Maintain(lake=Lake(uri=tables.lake.uri), **changed))
    assert told(tables) == expected(ids)
    after = StatesReader(layout.snapshot(tables)).masked(ids[:3], "content")
    np.testing.assert_array_equal(after.offsets, before.offsets)
    np.testing.assert_allclose(after.values, before.values, atol=0.01)
    copied = StatesReader(layout.snapshot(tables)).stored(ids)
    assert [tuple(row[name] for name in schema.TOKENS) for row in copied.to_pylist()] == list(expected(ids).values())
