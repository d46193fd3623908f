"""Pooled rows of a changed asset, held back until its new version is whole, so that one swap brings it in.

They lie in `_pending/waiting/`, in files that the newest pending commit names: a killed run loses none of them.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from smart_jobs import schema, storage
from smart_jobs.lake.layout import EncoderTables


class Waiting:
    """The rows that wait, in memory and in files. A file once written is never changed."""

    def __init__(self, tables: EncoderTables, names: Sequence[str] = ()) -> None:
        """Those in the files `names`."""
        self._tables = tables
        self.names = list(names)
        empty: pa.Table = schema.POOLED.columns.empty_table()
        self.rows: pa.Table = pa.concat_tables([empty, *(self._read(name) for name in names)])
        self._unsaved: pa.Table = empty

    def add(self, rows: pa.Table) -> None:
        """More rows that wait."""
        fresh = rows.cast(self.rows.schema)
        self.rows, self._unsaved = pa.concat_tables([self.rows, fresh]), pa.concat_tables([self._unsaved, fresh])

    def take(self, ready: Mapping[str, str]) -> pa.Table:
        """The rows of {asset id: version}, which wait no longer; other versions of these assets are given up."""
        if not ready:
            return self.rows.slice(0, 0)
        assets = self.rows["asset_id"].to_pylist()
        keys = zip(assets, self.rows["version"].to_pylist(), strict=True)
        taken = self.rows.filter(pa.array([ready.get(asset) == version for asset, version in keys], pa.bool_()))
        self.rows = self.rows.filter(pa.array([asset not in ready for asset in assets], pa.bool_()))
        self._unsaved, self.names = self.rows, []
        return taken

    def save(self, version: int) -> Sequence[str]:
        """Write what no file holds yet; the names of all files that a pending commit must name."""
        if self._unsaved.num_rows:
            name = f"{version:020d}.arrow"
            sink = pa.BufferOutputStream()
            with pa.ipc.new_file(sink, self._unsaved.schema) as writer:
                writer.write_table(self._unsaved)
            storage.write_bytes(uri_of(self._tables, name), sink.getvalue().to_pybytes())
            self.names = [*self.names, name]
            self._unsaved = self.rows.slice(0, 0)
        return tuple(self.names)

    def _read(self, name: str) -> pa.Table:
        data = storage.read_bytes(uri_of(self._tables, name))
        return pa.ipc.open_file(pa.py_buffer(data)).read_all()


def sweep(tables: EncoderTables, names: Sequence[str]) -> None:
    """Delete the files that no pending commit names any more."""
    for uri, _ in storage.list_files(_folder(tables), recursive=False):
        if uri.rpartition("/")[2] not in names:
            storage.delete(uri)


def versions_that_wait(rows: pa.Table) -> Mapping[tuple[str, str], tuple[frozenset[int], int]]:
    """{(asset id, version): its ordinals among `rows`, and how many it has in all}."""
    groups = rows.group_by(["asset_id", "version"]).aggregate([("ordinal", "distinct"), ("of", "max")])
    return {
        (row["asset_id"], row["version"]): (frozenset(row["ordinal_distinct"]), row["of_max"])
        for row in groups.to_pylist()
    }


def _folder(tables: EncoderTables) -> str:
    return storage.join(tables.uri, "_pending", "waiting")


def uri_of(tables: EncoderTables, name: str) -> str:
    """Where a file of waiting rows lies."""
    return storage.join(_folder(tables), name)


def split(rows: pa.Table, stored: Mapping[str, frozenset[str]]) -> tuple[pa.Table, pa.Table]:
    """Rows that can be shown at once, and rows that wait since `stored` has another version of their asset."""
    keys = zip(rows["asset_id"].to_pylist(), rows["version"].to_pylist(), strict=True)
    waits = pa.array([bool(stored.get(asset, frozenset()) - {version}) for asset, version in keys], pa.bool_())
    return rows.filter(pc.invert(waits)), rows.filter(waits)
