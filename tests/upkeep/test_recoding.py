"""States in another codec: equal to what that codec makes of each, whatever is killed between."""

import numpy as np
import pyarrow as pa
import pytest
from keeping import DOCS, make_lake
from lake_making import rows_of

from smart_jobs import codec, schema
from smart_jobs.flow import verifying
from smart_jobs.keys import Lake
from smart_jobs.lake import groups, layout, lease
from smart_jobs.lake.reader import StatesReader
from smart_jobs.settings import Verify
from smart_jobs.upkeep import recoding


class Killed(BaseException):
    """Passes every `except Exception`, as a kill does."""


def to_int8(rows):
    blobs = [
        codec.encode(codec.decode(row["states"], row["n_tokens"], row["dim"], row["codec"]), "int8")
        for row in rows.to_pylist()
    ]
    told = [{**row, "codec": "int8", "states": blob} for row, blob in zip(rows.to_pylist(), blobs, strict=True)]
    return pa.Table.from_pylist(told, schema=schema.HIDDEN_STATES.columns)


def recode(tables, reached=lambda _step: None):
    with lease.hold(tables, "maintain", 0, reached) as held:
        commits = groups.Groups(tables, held, groups.roll_forward(tables, held))
        return recoding.recode(tables, commits, "int8", to_int8)


def stored(tables):
    return {row["segment_id"]: (row["codec"], row["states"]) for row in rows_of(tables, schema.HIDDEN_STATES)}


@pytest.fixture
def wanted(tmp_path):
    tables = make_lake(tmp_path / "before", DOCS)
    rows = {row["segment_id"]: row for row in rows_of(tables, schema.HIDDEN_STATES)}
    decoded = {key: codec.decode(row["states"], row["n_tokens"], row["dim"], "float32") for key, row in rows.items()}
    return {key: ("int8", codec.encode(states, "int8")) for key, states in decoded.items()}


def test_every_state_is_what_the_codec_makes_of_it(tmp_path, wanted):
    tables = make_lake(tmp_path / "lake", DOCS)
    assert recode(tables) > 1
    assert stored(tables) == wanted
    again = layout.open_encoder(tables.lake, tables.spec.full_name)
    assert again.codec == "int8"
    ids = np.array(sorted(wanted))
    found = StatesReader(layout.snapshot(again)).read(ids)
    first = codec.decode(wanted[int(ids[0])][1], int(found.offsets[1]), tables.spec.dim, "int8")
    assert (found.values[: found.offsets[1]] == first).all()
    assert verifying.run(Verify(lake=Lake(uri=tables.lake.uri)))["whole"]
    assert recode(again) == 0


@pytest.mark.slow
def test_killed_at_any_step_the_next_run_goes_on(tmp_path, wanted):
    steps = []
    recode(make_lake(tmp_path / "counted", DOCS), steps.append)
    for at in range(steps.index("fenced"), len(steps), 3):
        tables, left = make_lake(tmp_path / str(at), DOCS), iter(range(len(steps)))

        def reached(step, at=at, left=left):
            if next(left) == at:
                raise Killed

        with pytest.raises(Killed):
            recode(tables, reached)
        recode(tables)
        assert stored(tables) == wanted, steps[at]
        assert layout.open_encoder(tables.lake, tables.spec.full_name).codec == "int8"
