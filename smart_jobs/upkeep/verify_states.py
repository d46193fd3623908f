"""Are the states what they should be: of the stated shape and codec, finite, and where their offsets say."""

from collections.abc import Callable
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from smart_jobs import codec, schema, storage
from smart_jobs.lake import pages
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.writer import offsets_uri
from smart_jobs.records import Codec
from smart_jobs.upkeep import datafiles
from smart_jobs.upkeep.findings import Damage, Findings

LIGHT = ["segment_id", "n_tokens", "dim", "codec"]
Ranges = list[tuple[int, int]]


class StatesCheck:
    """Reads hidden_states a file at a time; what is wrong goes to `findings`, what has to leave to `damage`.

    `deep` reads every state; else the footers, the small columns and the offsets.
    """

    def __init__(
        self, tables: EncoderTables, label: str, findings: Findings, damage: Damage, describe: Callable[[int], str]
    ) -> None:
        """`describe` puts a segment id into words."""
        self._tables, self._label, self._findings, self._damage = tables, label, findings, damage
        self._describe, self._uri = describe, tables.table_uri(schema.HIDDEN_STATES)

    def read(self, names: frozenset[str], deep: bool) -> pa.Table:
        """segment_id and n_tokens of every row of these files."""
        empty = schema.HIDDEN_STATES.columns.empty_table().select(LIGHT[:2])
        return pa.concat_tables([empty, *(part for name in sorted(names) for part in self._file(name, deep))])

    def _file(self, name: str, deep: bool) -> list[pa.Table]:
        try:
            data = pa.py_buffer(storage.read_bytes(storage.join(self._uri, name))) if deep else None
            rows = self._light(name, data)
            ranges = pages.value_ranges(data, "states") if data is not None else None
        except (*datafiles.UNREADABLE, ValueError, IndexError) as error:
            self._findings.add("unreadable_file", self._label, name, "one page for every value", error)
            self._damage.files[schema.HIDDEN_STATES.name].add(name)
            return []
        self._offsets(name, rows, ranges)
        self._shapes(rows)
        if data is not None and ranges is not None:
            self._values(rows, data, ranges)
        return [rows.select(LIGHT[:2])]

    def _light(self, name: str, data: pa.Buffer | None) -> pa.Table:
        columns = schema.HIDDEN_STATES.columns.empty_table().select(LIGHT).schema
        if data is None:
            return datafiles.read(self._uri, name, LIGHT).cast(columns)
        return pq.ParquetFile(pa.BufferReader(data)).read(columns=LIGHT).cast(columns)

    def _offsets(self, name: str, rows: pa.Table, ranges: Ranges | None) -> None:
        uri = offsets_uri(self._uri, name)
        try:
            stored = pa.ipc.open_file(pa.py_buffer(storage.read_bytes(uri))).read_all()
            same = all(stored[key].to_pylist() == rows[key].to_pylist() for key in LIGHT[:2])
            places = list(zip(stored["offset"].to_pylist(), stored["length"].to_pylist(), strict=True))
        except FileNotFoundError:
            self._findings.add("no_offsets", self._label, name, datafiles.name_of(uri), "no file")
        except datafiles.UNREADABLE as error:
            self._findings.add("wrong_offsets", self._label, name, "an Arrow file of offsets", error)
        else:
            if same and ranges in (None, places):
                return
            self._findings.add("wrong_offsets", self._label, name, "what the data file holds", "other rows or places")
        self._damage.offsets.add(name)

    def _shapes(self, rows: pa.Table) -> None:
        dim = self._tables.spec.dim
        for row in rows.to_pylist():
            if row["dim"] != dim or row["n_tokens"] < 1 or row["codec"] not in codec.CODECS:
                self._bad("wrong_shape", row["segment_id"], f"1 or more x {dim}",
                          f"{row['n_tokens']} x {row['dim']} as {row['codec']}")  # fmt: skip

    def _values(self, rows: pa.Table, data: pa.Buffer, ranges: Ranges) -> None:
        content = memoryview(data)
        for row, (start, length) in zip(rows.to_pylist(), ranges, strict=True):
            if row["segment_id"] in self._damage.segments:
                continue
            try:
                kind = cast("Codec", row["codec"])
                states = codec.decode(content[start : start + length], row["n_tokens"], row["dim"], kind)
            except ValueError as error:
                self._bad("wrong_shape", row["segment_id"], f"{row['n_tokens']} x {row['dim']}", error)
                continue
            if not np.isfinite(states).all():
                self._bad("not_finite", row["segment_id"], "finite numbers", "NaN or infinity")

    def _bad(self, kind: str, segment: int, expected: object, found: object) -> None:
        self._damage.segments.add(segment)
        self._findings.add(kind, self._label, self._describe(segment), expected, found)
