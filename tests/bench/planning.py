"""How long a night takes to see that nothing changed, or what did: a million assets listed against a million rows.

    python -m tests.bench.planning

Made-up tables of one row an asset, written as the lake writes them, in files of 100,000 rows; then the same million
assets as a listing, one in a thousand of them new and one in a thousand changed. Prints the seconds of each step, the
peak memory of the process, and beside it what reading the same columns alone takes.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from smart_jobs import records, schema
from smart_jobs.lake import groups, known, prune, table
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.table import Change
from smart_jobs.records import Asset
from tests.lake_making import make_tables

FILE = 100_000


def main() -> None:
    """Make the lake, plan against it, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", type=int, default=1_000_000)
    count = parser.parse_args().assets
    with tempfile.TemporaryDirectory() as folder:
        tables = make_tables(folder)
        for start in range(0, count, FILE):
            fill(tables, range(start, min(count, start + FILE)))
        assets = [listed(number) for number in range(count)]
        print(f"{count:,} assets listed, {memory():.2f} GB in use before planning")
        with timed("columns read, nothing else"):
            pooled = table.open_table(tables.table_uri(schema.POOLED))
            table.read(pooled, ["segment_id", *known.ORDINALS])
            table.read(table.open_table(tables.table_uri(schema.ASSETS)), ["asset_id", "stamp", "version", "run_id"])
        with timed("what the lake has"):
            have = known.load(tables, groups.unfinished(tables).rows, known.passing(()))
        with timed("plan"):
            plan = [item for item in known.plan(assets, have) if item is not None]
        with timed("what is gone"):
            gone = prune.gone(tables, ["made"], [asset.id for asset in assets])
        expected = -(-count // 1000) + -(-(count - 500) // 1000)
        assert len(plan) == expected, f"{len(plan)} to open, expected {expected}"
        print(f"{len(plan):,} assets to open, {len(gone.assets):,} gone; peak {memory():.2f} GB")


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Print what the block took."""
    start = time.perf_counter()
    yield
    print(f"{step:<28} {time.perf_counter() - start:6.1f} s   peak {memory():.2f} GB", flush=True)


def memory() -> float:
    """The most that this process ever had resident, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def listed(number: int) -> Asset:
    """Asset `number` as a listing has it now: numbers 0, 1000, … are new, 500, 1500, … changed."""
    name = uri(number) if number % 1000 else f"{uri(number)}.new"
    return Asset(name, "made", stamp(number) + ("0" if number % 1000 == 500 else ""), "document", 1000)


def uri(number: int) -> str:
    return f"s3://bucket/corpus/part-{number // 1000:05d}/document-{number:08d}.pdf"


def stamp(number: int) -> str:
    return f"{1000 + number}:{1_700_000_000_000_000_000 + number}"


def fill(tables: EncoderTables, numbers: range) -> None:
    """Rows of pooled and assets as they were when these numbers came in."""
    names = [uri(number) for number in numbers]
    made: dict[str, list[object]] = {
        "segment_id": [records.segment_id(name, "v", 0) for name in names],
        "asset_id": [records.asset_id(name) for name in names],
        "uri": names,
        "source": ["made"] * len(names),
        "version": [records.text_digest(name) for name in names],
        "stamp": [stamp(number) for number in numbers],
        "ordinal": [0] * len(names),
        "of": [1] * len(names),
        "pooled": [[0.5, 0.5, 0.5, 0.5]] * len(names),
        "run_id": ["a run"] * len(names),
    }
    for kind in (schema.POOLED, schema.ASSETS):
        rows = pa.table(
            [made.get(field.name) or blank(field, len(names)) for field in kind.columns], schema=kind.columns
        )
        handle = table.open_table(tables.table_uri(kind))
        file = table.write_file(tables.table_uri(kind), kind, rows)
        table.commit(handle, Change([file], [], {}, {}))


def blank(field: pa.Field, count: int) -> pa.Array:
    """What planning does not look at."""
    if field.nullable:
        return pa.nulls(count, field.type)
    return pa.array([""] * count if pa.types.is_string(field.type) else [0] * count, field.type)


if __name__ == "__main__":
    main()
