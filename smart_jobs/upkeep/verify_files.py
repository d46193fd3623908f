"""Is every file that a table's log names there, as the log says, and what lies there that nothing names."""

from dataclasses import dataclass

import pyarrow.parquet as pq
from deltalake import DeltaTable

from smart_jobs import schema, storage
from smart_jobs.upkeep import datafiles
from smart_jobs.upkeep.datafiles import UNREADABLE, Lying, Named
from smart_jobs.upkeep.findings import Findings


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a snapshot that can be read, those that cannot be trusted, and how many bytes they should have."""

    good: frozenset[str]
    bad: frozenset[str]
    bytes: int


def check(handle: DeltaTable, kind: schema.Table, uri: str, label: str, findings: Findings) -> Files:
    """Compare a snapshot's log with the files: there, of that size, Parquet with the columns and rows it should have.

    Reads the footers alone: what is wrong inside is found by whoever reads the rows.
    """
    entries, there = datafiles.named(handle), datafiles.lying(uri)
    bad = {path for path, entry in entries.items() if not _good(uri, path, entry, there, kind, label, findings)}
    total = sum(entry.size for entry in entries.values())
    return Files(frozenset(set(entries) - bad), frozenset(bad), total)


def _good(
    uri: str, path: str, entry: Named, there: dict[str, Lying], kind: schema.Table, label: str, findings: Findings
) -> bool:
    if path not in there:
        findings.add("missing_file", label, path, f"{entry.size} bytes", "no file")
    elif there[path].size != entry.size:
        findings.add("wrong_size", label, path, f"{entry.size} bytes", f"{there[path].size} bytes")
    else:
        return _footer(uri, path, entry, kind, label, findings)
    return False


def _footer(uri: str, path: str, entry: Named, kind: schema.Table, label: str, findings: Findings) -> bool:
    try:
        with storage.open_input(storage.join(uri, path)) as handle:
            file = pq.ParquetFile(handle)
            rows = file.metadata.num_rows
            datafiles.lacking(file.schema_arrow.names, kind)
    except UNREADABLE as error:
        findings.add("unreadable_file", label, path, "a Parquet file with its columns", error)
        return False
    if entry.rows not in (None, rows):
        findings.add("wrong_count", label, path, f"{entry.rows} rows", f"{rows} rows")
        return False
    return True


def orphans(uri: str, handle: DeltaTable, also: frozenset[str]) -> dict[str, Lying]:
    """The files in a table's folder that neither its log nor `also` (a pending commit) names or has named."""
    known = set(datafiles.named(handle)) | datafiles.replaced(uri) | also
    return {name: info for name, info in datafiles.lying(uri).items() if name not in known}
