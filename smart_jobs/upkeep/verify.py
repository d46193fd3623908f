"""Is what a lake holds whole: every file there as its log says, and both tables of an encoder in agreement."""

import contextlib
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from smart_jobs import schema, storage
from smart_jobs.lake import layout, pending, table
from smart_jobs.lake.layout import EncoderTables, Lake
from smart_jobs.records import JobError
from smart_jobs.upkeep import datafiles, verify_files
from smart_jobs.upkeep.findings import Damage, Findings
from smart_jobs.upkeep.verify_pooled import PARTS, PooledCheck
from smart_jobs.upkeep.verify_states import StatesCheck


@dataclass(slots=True)
class Checked:
    """How much was looked at, and what lies there without being wrong.

    `unreferenced` are states that no row of pooled names, `copies` further states of a segment: `maintain` sweeps both.
    """

    counts: Counter[str] = field(default_factory=Counter)
    orphans: dict[str, int] = field(default_factory=dict)
    unreferenced: int = 0
    copies: int = 0


def label(uri: str, lake: Lake) -> str:
    """A table's place in its lake."""
    return uri.removeprefix(lake.uri + "/")


def shared(lake: Lake, findings: Findings, checked: Checked) -> dict[str, set[str]]:
    """Check the tables that all encoders share; the files of each that cannot be trusted."""
    bad: dict[str, set[str]] = {}
    opened = [layout.open_encoder(lake, name) for name in layout.encoders(lake)]
    also = frozenset(name for tables in opened for name in _pending_files(tables))
    for kind in schema.LAKE_TABLES:
        uri = lake.table_uri(kind)
        handle = _opened(uri, label(uri, lake), findings)
        if handle is not None:
            files = _files(handle, kind, uri, lake, findings, checked)
            broken = {name for name in files.good if not _readable(uri, name, kind, label(uri, lake), findings)}
            bad[kind.name] = set(files.bad) | broken
            _orphans(uri, handle, also, checked)
    return bad


def encoder(tables: EncoderTables, deep: bool, findings: Findings, checked: Checked) -> Damage:
    """Check one encoder's tables as a reader sees them, every state of them where `deep`."""
    damage = Damage()
    pooled_uri, states_uri = (tables.table_uri(kind) for kind in (schema.POOLED, schema.HIDDEN_STATES))
    places = [label(uri, tables.lake) for uri in (pooled_uri, states_uri)]
    pooled, states = _opened(pooled_uri, places[0], findings), _opened(states_uri, places[1], findings)
    if pooled is None or states is None:
        return damage
    states = _named(tables, pooled, states, findings)
    files = {
        kind.name: _files(handle, kind, tables.table_uri(kind), tables.lake, findings, checked)
        for kind, handle in ((schema.POOLED, pooled), (schema.HIDDEN_STATES, states))
    }
    for name, found in files.items():
        damage.files[name] |= found.bad
    rows = PooledCheck(tables, places[0], findings, damage)
    rows.read(files[schema.POOLED.name].good)
    rows.unique()
    rows.complete(_failures(tables))
    reader = StatesCheck(tables, places[1], findings, damage, rows.describe)
    found_states = reader.read(files[schema.HIDDEN_STATES.name].good, deep)
    checked.counts["segments"] += rows.rows.num_rows
    checked.counts["states"] += found_states.num_rows
    _agree(rows, found_states, places[1], findings, damage, checked)
    _pending(tables, findings)
    also = frozenset(_pending_files(tables))
    _orphans(pooled_uri, pooled, also, checked)
    _orphans(states_uri, table.open_table(states_uri), also, checked)
    return damage


def _opened(uri: str, place: str, findings: Findings) -> DeltaTable | None:
    try:
        return table.open_table(uri)
    except (JobError, DeltaError) as error:
        findings.add("no_table", place, place, "a Delta table", error)
        return None


def _named(tables: EncoderTables, pooled: DeltaTable, newest: DeltaTable, findings: Findings) -> DeltaTable:
    """hidden_states at the version that pooled's newest commit names; the newest where that cannot be loaded."""
    wanted = int(pooled.history(1)[0].get("hidden_states_version", "0"))
    if wanted == newest.version():
        return newest
    try:
        return table.open_table(tables.table_uri(schema.HIDDEN_STATES), wanted)
    except (JobError, DeltaError) as error:
        place = label(tables.table_uri(schema.POOLED), tables.lake)
        findings.add("no_version", place, f"version {pooled.version()}", f"hidden_states version {wanted}", error)
        return newest


def _files(
    handle: DeltaTable, kind: schema.Table, uri: str, lake: Lake, findings: Findings, checked: Checked
) -> verify_files.Files:
    files = verify_files.check(handle, kind, uri, label(uri, lake), findings)
    checked.counts["tables"] += 1
    checked.counts["files"] += len(files.good) + len(files.bad)
    checked.counts["bytes"] += files.bytes
    return files


def _readable(uri: str, name: str, kind: schema.Table, place: str, findings: Findings) -> bool:
    try:
        datafiles.rows(uri, name, kind)
    except datafiles.UNREADABLE as error:
        findings.add("unreadable_file", place, name, "pages that can be read", error)
        return False
    return True


def _orphans(uri: str, handle: DeltaTable, also: frozenset[str], checked: Checked) -> None:
    found = verify_files.orphans(uri, handle, also)
    checked.orphans |= {storage.join(uri, name): info.size for name, info in found.items()}


def _failures(tables: EncoderTables) -> pa.Table:
    """The parts that failed, as far as the files can be read."""
    uri = tables.table_uri(schema.FAILURES)
    found = [schema.FAILURES.columns.empty_table().select([*PARTS, "spec"])]
    for name in datafiles.named(table.open_table(uri)):
        with contextlib.suppress(*datafiles.UNREADABLE):
            found.append(datafiles.read(uri, name, [*PARTS, "spec"]).cast(found[0].schema))
    rows = pa.concat_tables(found)
    mine = pc.or_(pc.is_null(rows["spec"]), pc.equal(rows["spec"], tables.spec.digest))
    return rows.filter(pc.and_(pc.is_valid(rows["ordinal"]), pc.fill_null(mine, fill_value=True)))


def _agree(
    pooled: PooledCheck, states: pa.Table, place: str, findings: Findings, damage: Damage, checked: Checked
) -> None:
    """Every row of pooled has its states, with as many tokens; what no row has is counted."""
    ids, tokens = (states[name].to_numpy() for name in ("segment_id", "n_tokens"))
    order = np.argsort(ids, kind="stable")
    ids, tokens = ids[order], tokens[order]
    wanted, counts = (pooled.rows[name].to_numpy() for name in ("segment_id", "n_tokens"))
    first, last = np.searchsorted(ids, wanted, "left"), np.searchsorted(ids, wanted, "right")
    for at in np.flatnonzero(first == last):
        damage.segments.add(int(wanted[at]))
        findings.add("no_states", place, pooled.describe(int(wanted[at])), f"{counts[at]} states", "no row")
    for at in np.flatnonzero(first < last):
        stored = tokens[first[at] : last[at]]
        if (stored != counts[at]).any() and int(wanted[at]) not in damage.segments:
            damage.segments.add(int(wanted[at]))
            findings.add("wrong_shape", place, pooled.describe(int(wanted[at])), f"{counts[at]} states",
                         " and ".join(map(str, stored)))  # fmt: skip
    named = np.isin(ids, wanted)
    checked.unreferenced += int((~named).sum())
    checked.copies += int(named.sum()) - len(np.unique(ids[named]))


def _pending_files(tables: EncoderTables) -> set[str]:
    """The names of the files that pending commits add."""
    return {file.path for item in pending.listed(tables) for files in item.adds.values() for file in files}


def _pending(tables: EncoderTables, findings: Findings) -> None:
    """What a pending commit has yet to add is there."""
    place = label(storage.join(tables.uri, "_pending"), tables.lake)
    for item in pending.listed(tables):
        for name in pending.missing(tables, item):
            findings.add("pending_file", place, f"commit {item.version}", name, "no file")
