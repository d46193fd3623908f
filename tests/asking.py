"""A lake that the tiny encoder filled in this process, without Ray, and tables of queries to ask it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from keeping import make_index
from lake_making import make_committer, make_segment

from smart_jobs import wire
from smart_jobs.encode import checkpoint, encoder
from smart_jobs.keys import Cut, Encoder
from smart_jobs.lake import layout, writer
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.records import Segment

WORDS = [
    "lake",
    "river",
    "stone",
    "bridge",
    "forest",
    "cloud",
    "engine",
    "paper",
    "window",
    "garden",
    "music",
    "silver",
]
TENANTS, MEDIA = ["acme", "blue", "corp"], ["document", "text", "image"]


def sentence(number: int) -> str:
    return " ".join(WORDS[(number * 5 + number // 7 + 3 * i) % len(WORDS)] for i in range(4)) + f" {number}"


def segments(count: int = 60, folder: str | None = None) -> list[Segment]:
    """Documents of three pages; of three tenants and media, twelve months, in two folders or the given one."""
    found = []
    for number in range(count):
        document, page = divmod(number, 3)
        uri = f"/in/{folder or ('north' if document % 2 else 'south')}/doc{document}.pdf"
        meta = {"tenant": TENANTS[document % 3], "date": f"2026-{1 + document % 12:02d}-15"}
        made = make_segment(uri, "v", page, 3, sentence(number))
        found.append(replace(made, page=page + 1, meta=meta, media=MEDIA[document % 3]))
    return found


def filled(folder: Path, checkpoint_of: Path, made: Sequence[Segment], codec: str = "int8") -> EncoderTables:
    """A lake that holds these segments, and an exact index over them."""
    spec, where = checkpoint.resolve(Encoder(name=checkpoint_of.name, model=str(checkpoint_of)), Cut())
    tables = layout.create_encoder(layout.create_lake(str(folder)), spec, codec)
    add(tables, where, made)
    make_index(tables)
    return tables


def add(tables: EncoderTables, where: Path, made: Sequence[Segment], epoch: int = 1) -> None:
    """One commit of these segments; each by a writer of its own, so with an epoch of its own."""
    model = encoder.load(tables.spec, where, 1, 4096)
    row = {"unit": f"u{made[0].segment_id}", "segments": [], "failures": [], "assets": []}
    unit = pa.Table.from_pylist([row], schema=wire.UNIT)
    committer = make_committer(tables, epoch)
    committer.add(writer.receipt(tables, unit, made, model.encode(made), "r"))
    committer.commit()


def ask(path: Path, rows: Sequence[dict]) -> Path:
    """A table of queries, of the format that its name says."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def questions(count: int) -> list[dict]:
    """Ids that have to be told apart from row numbers, and texts; every eleventh is empty."""
    return [{"id": f"q#{i}", "text": sentence(3 * i + 1) if (i + 1) % 11 else " "} for i in range(count)]


def files(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
