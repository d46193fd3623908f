"""One group commit over several tables as a file: written before the first table's commit, so that it can be finished.

`_pending/<version>.json` names data files that are all written. Applying it commits hidden_states, failures, pooled and
assets in that order, each with `Transaction(spec digest, version)`: a table that has it already is passed over, so a
pending file may be applied any number of times, by whoever holds the lease, after a crash at any point.

Each such commit carries `Transaction("fence/<spec digest>", epoch)` too. A new run raises the fence of every table
before it looks at the pending files: one that it does not find is of a deposed run, and all of its commits fail.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from deltalake.exceptions import CommitFailedError

from smart_jobs import schema, storage
from smart_jobs.lake import table
from smart_jobs.lake.lease import DeposedError, Lease
from smart_jobs.lake.table import Change, EncoderTables, File

ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Pending:
    """What commit `version` adds to each table (by name), which files of pooled it replaces, and what still waits."""

    version: int
    run_id: str
    adds: Mapping[str, Sequence[File]]
    removes: Sequence[str] = ()
    waiting: str | None = None

    @property
    def epoch(self) -> int:
        """That of the lease under which it was written."""
        return self.version >> 32

    def to_bytes(self) -> bytes:
        """As JSON."""
        adds = {name: [asdict(file) for file in files] for name, files in self.adds.items()}
        content = {"version": self.version, "run_id": self.run_id, "adds": adds, "removes": list(self.removes)}
        return json.dumps(content | {"waiting": self.waiting}).encode()

    @staticmethod
    def from_bytes(data: bytes) -> "Pending":
        """What `to_bytes` wrote."""
        content = json.loads(data)
        adds = {name: [File(**file) for file in files] for name, files in content["adds"].items()}
        return Pending(content["version"], content["run_id"], adds, content["removes"], content["waiting"])


def _folder(tables: EncoderTables) -> str:
    return storage.join(tables.uri, "_pending")


def write(tables: EncoderTables, pending: Pending) -> None:
    """Make the commit certain: from here on it happens, now or when the next run starts."""
    storage.write_bytes(storage.join(_folder(tables), f"{pending.version:020d}.json"), pending.to_bytes())


def listed(tables: EncoderTables) -> list[Pending]:
    """The pending commits, oldest first."""
    found = storage.list_files(_folder(tables), recursive=False)
    return [Pending.from_bytes(storage.read_bytes(uri)) for uri, _ in found if uri.endswith(".json")]


def remove(tables: EncoderTables, pending: Pending) -> None:
    """Forget a pending commit that every table has."""
    storage.delete(storage.join(_folder(tables), f"{pending.version:020d}.json"))


def apply(tables: EncoderTables, pending: Pending, lease: Lease) -> dict[str, int]:
    """Commit what is not committed yet; the resulting version of each table that it touches.

    Raises DeposedError where a later lease has raised the fence; a table that was committed until then stays so.
    """
    versions: dict[str, int] = {}
    for kind in schema.COMMIT_ORDER:
        files = pending.adds.get(kind.name, ())
        removes = pending.removes if kind is schema.POOLED else ()
        if files or removes:
            versions[kind.name] = _once(tables, kind, lease, _Part(tables.spec.digest, pending.version, files, removes))
    return versions


def fence(tables: EncoderTables, lease: Lease) -> None:
    """An empty commit to each table with the new epoch: whoever still holds an older lease fails at its next commit."""
    for kind in schema.COMMIT_ORDER:
        _once(tables, kind, lease, _Part(_fence(tables), lease.epoch))


@dataclass(frozen=True, slots=True)
class _Part:
    """One table's share of a pending commit, or of a fence."""

    app: str
    version: int
    files: Sequence[File] = ()
    removes: Sequence[str] = ()


def _fence(tables: EncoderTables) -> str:
    return f"fence/{tables.spec.digest}"


def _once(tables: EncoderTables, kind: schema.Table, lease: Lease, part: _Part) -> int:
    uri, apps = tables.table_uri(kind), {part.app: part.version, _fence(tables): lease.epoch}
    for attempt in range(ATTEMPTS):
        handle = table.open_table(uri)
        if (handle.transaction_version(_fence(tables)) or 0) > lease.epoch:
            raise DeposedError(f"{uri}: run {lease.run_id} was deposed by a later one; nothing more is committed")
        if (handle.transaction_version(part.app) or 0) >= part.version:
            break
        try:
            table.commit(handle, Change(part.files, part.removes, apps, _metadata(tables, kind, lease)))
            break
        except CommitFailedError:
            if attempt == ATTEMPTS - 1:
                raise
    return int(handle.version())


def _metadata(tables: EncoderTables, kind: schema.Table, lease: Lease) -> dict[str, str]:
    """Every commit to pooled names the hidden_states that go with it; readers open exactly that version."""
    if kind is not schema.POOLED:
        return {"run_id": lease.run_id}
    states = table.open_table(tables.table_uri(schema.HIDDEN_STATES))
    return {"run_id": lease.run_id, "hidden_states_version": str(states.version())}
