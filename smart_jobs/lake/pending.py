"""One group commit over several tables as a file: written before the first table's commit, so that it can be finished.

`_pending/<version>.json` names data files that are all written. Applying it commits hidden_states, failures, pooled and
assets in that order, each with `Transaction(spec digest, version)`: a table that has it already is passed over, so a
pending file may be applied any number of times, by whoever holds the lease, after a crash at any point.

Only the encoder's own tables lose files here: those that all encoders share have other writers, who may replace the
same file (`rewriting.py` has the commit for that).

Each such commit carries `Transaction("fence/<spec digest>", epoch)` too. A new run raises the fence of every table
before it looks at the pending files: one that it does not find is of a deposed run, and all of its commits fail.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from deltalake.exceptions import CommitFailedError

from smart_jobs import schema, storage
from smart_jobs.lake import table, waiting
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.lease import DeposedError, Lease
from smart_jobs.lake.table import Change, File


@dataclass(frozen=True, slots=True)
class Pending:
    """What commit `version` adds to each table and takes from it (by name), and the files of rows that still wait.

    `rewrites`: the tables hold the same rows afterwards, in other files; readers of changes may pass over it.
    """

    version: int
    run_id: str
    adds: Mapping[str, Sequence[File]]
    removes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    waiting: Sequence[str] = ()
    rewrites: bool = False

    @property
    def epoch(self) -> int:
        """That of the lease under which it was written."""
        return self.version >> 32

    def to_bytes(self) -> bytes:
        """As JSON."""
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def from_bytes(data: bytes) -> "Pending":
        """What `to_bytes` wrote."""
        content = json.loads(data)
        adds = {name: [File(**file) for file in files] for name, files in content["adds"].items()}
        return Pending(**{**content, "adds": adds})


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


def missing(tables: EncoderTables, pending: Pending) -> list[str]:
    """The files, as URIs, that `pending` has yet to commit or that hold its waiting rows, and that are not there."""
    wanted = [waiting.uri_of(tables, name) for name in pending.waiting]
    for kind in schema.COMMIT_ORDER:
        uri = tables.table_uri(kind)
        files = pending.adds.get(kind.name, ())
        if files and (table.open_table(uri).transaction_version(tables.spec.digest) or 0) < pending.version:
            wanted += [storage.join(uri, file.path) for file in files]
    return [uri for uri in wanted if not storage.exists(uri)]


def settled(tables: EncoderTables) -> bool:
    """Whether no commit is left to finish: every table has the newest pending one."""
    left = listed(tables)
    kinds = schema.COMMIT_ORDER if left else ()
    handles = (table.open_table(tables.table_uri(kind)) for kind in kinds if _touches(left[-1], kind))
    return all((handle.transaction_version(tables.spec.digest) or 0) >= left[-1].version for handle in handles)


def apply(tables: EncoderTables, pending: Pending, lease: Lease) -> dict[str, int]:
    """Commit what is not committed yet; the resulting version of each table that it touches.

    Raises DeposedError where a later lease has raised the fence; a table that was committed until then stays so.
    """
    versions: dict[str, int] = {}
    for kind in schema.COMMIT_ORDER:
        if _touches(pending, kind):
            adds, removes = pending.adds.get(kind.name, ()), pending.removes.get(kind.name, ())
            part = _Part(tables.spec.digest, pending.version, adds, removes, pending.rewrites)
            versions[kind.name] = _once(tables, kind, lease, part)
            lease.reached(f"{kind.name} committed")
    return versions


def _touches(pending: Pending, kind: schema.Table) -> bool:
    """Whether a table takes part; pooled also where hidden_states loses files, to name the version without them."""
    moved = kind is schema.POOLED and pending.removes.get(schema.HIDDEN_STATES.name)
    return bool(pending.adds.get(kind.name) or pending.removes.get(kind.name) or moved)


def fence(tables: EncoderTables, lease: Lease) -> None:
    """An empty commit to each table with the new epoch: whoever still holds an older lease fails at its next commit."""
    for kind in schema.COMMIT_ORDER:
        _once(tables, kind, lease, _Part(_fence(tables), lease.epoch))
    lease.reached("fenced")


@dataclass(frozen=True, slots=True)
class _Part:
    """One table's share of a pending commit, or of a fence."""

    app: str
    version: int
    files: Sequence[File] = ()
    removes: Sequence[str] = ()
    rewrites: bool = False


def _fence(tables: EncoderTables) -> str:
    return f"fence/{tables.spec.digest}"


def _once(tables: EncoderTables, kind: schema.Table, lease: Lease, part: _Part) -> int:
    uri, apps = tables.table_uri(kind), {part.app: part.version, _fence(tables): lease.epoch}
    for attempt in range(table.ATTEMPTS):
        handle = table.open_table(uri)
        if (handle.transaction_version(_fence(tables)) or 0) > lease.epoch:
            raise DeposedError(f"{uri}: run {lease.run_id} was deposed by a later one; nothing more is committed")
        if (handle.transaction_version(part.app) or 0) >= part.version:
            break
        change = Change(part.files, part.removes, apps, _metadata(tables, kind, lease), not part.rewrites)
        try:
            table.commit(handle, change)
            break
        except CommitFailedError:
            if attempt == table.ATTEMPTS - 1:
                raise
    return int(handle.version())


def _metadata(tables: EncoderTables, kind: schema.Table, lease: Lease) -> dict[str, str]:
    """Every commit to pooled names the hidden_states that go with it; readers open exactly that version."""
    if kind is not schema.POOLED:
        return {"run_id": lease.run_id}
    states = table.open_table(tables.table_uri(schema.HIDDEN_STATES))
    return {"run_id": lease.run_id, "hidden_states_version": str(states.version())}
