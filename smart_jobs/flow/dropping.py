"""An encoder's tables and indexes leave a lake, and that of its evaluations."""

from collections.abc import Callable, Sequence

from smart_jobs import schema
from smart_jobs.lake import layout, lease, table
from smart_jobs.lake.layout import EncoderTables, Lake
from smart_jobs.records import JobError
from smart_jobs.settings import Maintain
from smart_jobs.upkeep import dropping, evaluated
from smart_jobs.upkeep.vacuum import Going


def drop(lakes: Sequence[Lake], name: str, job: Maintain, reached: Callable[[str], None]) -> Going:
    """Remove the encoder `name`; the files that went. Killed after it was retired, the next `maintain` finishes it.

    Raises JobError where no lake has it, where another run writes with it, and, unless forced, where an evaluation was
    made with it; forced, such evaluations are marked as not repeatable.
    """
    found = tables_of(lakes, name)
    pinned = pinned_by(lakes[0], found)
    if pinned and not job.force:
        raise JobError(f"drop={name}: {len(pinned)} evaluations were made with it, e.g. run {pinned[0]}; "
                       "force=true drops it all the same and marks them as not repeatable")  # fmt: skip
    evaluated.unrepeatable(lakes[0], pinned)
    going: Going = {}
    for tables in found:
        with lease.hold(tables, "maintain", job.wait, reached) as held:
            dropping.retire(tables)
            held.reached("retired")
        going |= dropping.finish(tables.lake, name)
    return going


def tables_of(lakes: Sequence[Lake], name: str) -> list[EncoderTables]:
    """Its tables in each of the lakes. Raises JobError where there are none."""
    found = [layout.open_encoder(lake, name) for lake in lakes if name in layout.encoders(lake)]
    return found or [layout.open_encoder(lakes[0], name)]


def pinned_by(outer: Lake, found: Sequence[EncoderTables]) -> list[str]:
    """The run ids of evaluations that need a version of these tables."""
    kinds = schema.ENCODER_TABLES
    ids = {table.table_id(table.open_table(tables.table_uri(kind))) for tables in found for kind in kinds}
    return sorted(run for run, pins in evaluated.pins(outer).items() if any(name in ids for name, _ in pins))
