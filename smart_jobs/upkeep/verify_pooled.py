"""Are pooled's rows what they should be: one for each segment, one version of an asset, whole, vectors of norm 1."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from smart_jobs import schema, storage
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.upkeep import datafiles
from smart_jobs.upkeep.findings import Damage, Findings

PLAIN = ["segment_id", "asset_id", "uri", "version", "ordinal", "of", "n_tokens"]
PARTS = ["asset_id", "version", "ordinal"]
NORM_TOLERANCE = 1e-3
BATCH = 8192
"""Vectors that are held at a time."""


class PooledCheck:
    """Reads pooled once; what is wrong goes to `findings`, and what has to leave for it to be healed to `damage`."""

    def __init__(self, tables: EncoderTables, label: str, findings: Findings, damage: Damage) -> None:
        self._tables, self._label, self._findings, self._damage = tables, label, findings, damage
        self.rows: pa.Table = schema.POOLED.columns.empty_table().select(PLAIN)
        self._ids, self._order = np.empty(0, np.int64), np.empty(0, np.int64)

    def read(self, names: frozenset[str]) -> None:
        """Check every vector of these files; `rows` are their other columns from then on."""
        parts = [part for name in sorted(names) for part in self._file(name)]
        self.rows = pa.concat_tables([self.rows, *parts])
        self._ids = self.rows["segment_id"].to_numpy()
        self._order = np.argsort(self._ids, kind="stable")

    def _file(self, name: str) -> list[pa.Table]:
        uri, parts = self._tables.table_uri(schema.POOLED), []
        try:
            with storage.open_input(storage.join(uri, name)) as handle:
                for batch in pq.ParquetFile(handle).iter_batches(BATCH, columns=[*PLAIN, "pooled"]):
                    some = pa.Table.from_batches([batch])
                    parts.append(some.select(PLAIN).cast(self.rows.schema))
                    self._vectors(some)
        except datafiles.UNREADABLE as error:
            self._findings.add("unreadable_file", self._label, name, "pages that can be read", error)
            self._damage.files[schema.POOLED.name].add(name)
            return []
        return parts

    def _vectors(self, rows: pa.Table) -> None:
        dim, vectors = self._tables.spec.dim, rows["pooled"].combine_chunks()
        lengths = np.asarray(vectors.value_lengths())
        for at in np.flatnonzero(lengths != dim):
            self._bad("wrong_length", rows, int(at), f"{dim} dimensions", f"{lengths[at]}")
        right = np.flatnonzero(lengths == dim)
        values = vectors.take(pa.array(right)).flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
        finite = np.isfinite(values).all(axis=1)
        for at in right[~finite]:
            self._bad("not_finite", rows, int(at), "finite numbers", "NaN or infinity")
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.linalg.norm(values, axis=1)
        for at in np.flatnonzero(finite & (np.abs(norms - 1) > NORM_TOLERANCE)):
            self._bad("wrong_norm", rows, int(right[at]), "norm 1", f"norm {norms[at]:.6g}")

    def _bad(self, kind: str, rows: pa.Table, at: int, expected: object, found: object) -> None:
        self._damage.segments.add(rows["segment_id"][at].as_py())
        what = _name(rows["segment_id"][at], rows["uri"][at], rows["ordinal"][at])
        self._findings.add(kind, self._label, what, expected, found)

    def describe(self, segment: int) -> str:
        """A segment's id, and where it comes from as far as pooled has it."""
        place = int(np.searchsorted(self._ids, segment, sorter=self._order))
        if place == len(self._ids) or self._ids[self._order[place]] != segment:
            return f"segment {segment}"
        at = int(self._order[place])
        return _name(segment, self.rows["uri"][at], self.rows["ordinal"][at])

    def unique(self) -> None:
        """No segment is there twice, and no asset in two versions."""
        for item in _repeated(self.rows["segment_id"]):
            self._damage.segments.add(item["values"])
            self._findings.add("duplicate_segment", self._label, self.describe(item["values"]), "1 row",
                               f"{item['counts']} rows")  # fmt: skip
        pairs = self.rows.select(["asset_id", "version"]).group_by(["asset_id", "version"]).aggregate([])
        for item in _repeated(pairs["asset_id"]):
            of_asset = self.rows.filter(pc.equal(self.rows["asset_id"], item["values"]))
            self._damage.segments.update(of_asset["segment_id"].to_pylist())
            self._findings.add("two_versions", self._label, of_asset["uri"][0], "1 version",
                               f"{item['counts']} versions")  # fmt: skip

    def complete(self, failures: pa.Table) -> None:
        """Every ordinal of a version that pooled shows is in pooled or in `failures` (columns `PARTS`)."""
        shown = self.rows.group_by(["asset_id", "version"]).aggregate([("of", "max"), ("uri", "min")])
        done = pa.concat_tables([self.rows.select(PARTS), failures.select(PARTS).cast(self.rows.select(PARTS).schema)])
        counted = done.group_by(["asset_id", "version"]).aggregate([("ordinal", "count_distinct")])
        rows = shown.join(counted, ["asset_id", "version"], join_type="inner")
        for row in rows.filter(
            pc.not_equal(rows["ordinal_count_distinct"], rows["of_max"].cast(pa.int64()))
        ).to_pylist():
            self._findings.add("missing_ordinals", self._label, row["uri_min"], f"{row['of_max']} segments",
                               f"{row['ordinal_count_distinct']} in pooled or failures")  # fmt: skip


def _repeated(values: pa.ChunkedArray) -> list[dict[str, int]]:
    counts = pc.value_counts(values.combine_chunks())
    many: list[dict[str, int]] = counts.filter(pc.greater(counts.field("counts"), 1)).to_pylist()
    return many


def _name(segment: object, uri: object, ordinal: object) -> str:
    return f"segment {segment} ({uri}, ordinal {ordinal})"
