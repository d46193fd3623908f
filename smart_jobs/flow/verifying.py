"""Is a lake whole: its tables, indexes and pins, those of its evaluations' own lake too. Starts no Ray."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from smart_jobs import progress, schema, storage
from smart_jobs.flow import locate
from smart_jobs.lake import groups, layout, lease
from smart_jobs.lake.layout import EncoderTables, Lake
from smart_jobs.lake.lease import passed_over
from smart_jobs.settings import Verify
from smart_jobs.upkeep import evaluated, repair, verify
from smart_jobs.upkeep import verify_indexes as verify_index
from smart_jobs.upkeep.findings import Damage, Findings
from smart_jobs.upkeep.verify import Checked
from smart_jobs.upkeep.versions import Versions

ROUNDS = 3
"""A repair looks again: rows whose files left have to leave too."""


@dataclass(slots=True)
class Result:
    """What was found in all lakes, and what a repair has to do about it."""

    findings: Findings = field(default_factory=Findings)
    checked: Checked = field(default_factory=Checked)
    damage: dict[str, Damage] = field(default_factory=dict)
    indexes: list[str] = field(default_factory=list)
    evaluations: set[str] = field(default_factory=set)


def run(job: Verify, reached: Callable[[str], None] = passed_over) -> dict[str, Any]:
    """The JSON object of `smart-jobs verify`; `whole` says whether anything is wrong.

    Reads only, unless `repair=true`: then what is damaged leaves, under the lease of each encoder concerned, and the
    next ingest finds it missing. A repair that is killed is done by repeating it. Raises JobError where there is no
    lake.
    """
    lakes = locate.lakes_of(job.lake.uri)
    result = _check(lakes, job.deep)
    repaired = bool(job.repair and result.findings.counts)
    if repaired:
        _repair(lakes, result, job, reached)
    return {**_json(lakes[0], result), "repaired": repaired}


def _json(lake: Lake, result: Result) -> dict[str, Any]:
    checked, findings = result.checked, result.findings
    counts: dict[str, int] = {}
    for (kind, _), count in findings.counts.items():
        counts[kind] = counts.get(kind, 0) + count
    return {
        "lake": lake.uri,
        "whole": not counts,
        "checked": dict(checked.counts),
        "counts": counts,
        "findings": [asdict(finding) for finding in findings.listed],
        "orphans": {"files": len(checked.orphans), "bytes": sum(checked.orphans.values()),
                    "listed": sorted(checked.orphans)[:100]},
        "unreferenced": checked.unreferenced,
        "copies": checked.copies,
    }  # fmt: skip


def _check(lakes: list[Lake], deep: bool) -> Result:
    result = Result()
    versions = Versions(lakes)
    for lake in lakes:
        bad = verify.shared(lake, result.findings, result.checked)
        for name in layout.encoders(lake):
            tables = layout.open_encoder(lake, name)
            progress.say(f"verify: {tables.uri}")
            result.damage[tables.uri] = verify.encoder(tables, deep, result.findings, result.checked)
            _indexes(tables, versions, result)
        if not bad.get(schema.EVALUATIONS.name):
            _evaluations(lake, versions, result)
    return result


def _indexes(tables: EncoderTables, versions: Versions, result: Result) -> None:
    uri = storage.join(tables.uri, "indexes")
    count, bad = verify_index.check(uri, verify.label(uri, tables.lake), versions.problem, result.findings)
    result.checked.counts["indexes"] += count
    result.indexes += bad


def _evaluations(lake: Lake, versions: Versions, result: Result) -> None:
    for run_id, pins in evaluated.pins(lake).items():
        result.checked.counts["evaluations"] += 1
        for table_id, version in sorted(pins):
            why = versions.problem(table_id, version)
            if why is not None:
                result.evaluations.add(run_id)
                wanted = f"version {version} of table {table_id}"
                result.findings.add("evaluation_pin", schema.EVALUATIONS.name, f"run {run_id}", wanted, why)


def _repair(lakes: list[Lake], result: Result, job: Verify, reached: Callable[[str], None]) -> None:
    """Shared tables first: a lease is a row in one of them."""
    for lake in lakes:
        layout.create_lake(lake.uri)
        for name, bad in verify.shared(lake, Findings(), Checked()).items():
            repair.shared(lake, next(kind for kind in schema.LAKE_TABLES if kind.name == name), bad)
        evaluated.unrepeatable(lake, result.evaluations)
        for name in layout.encoders(lake):
            _repair_encoder(layout.open_encoder(lake, name), job, reached)
    for folder in result.indexes:
        verify_index.withdraw(folder)
    progress.say("verify: what was damaged is taken out; the next ingest encodes it again")


def _repair_encoder(tables: EncoderTables, job: Verify, reached: Callable[[str], None]) -> None:
    tables = layout.create_encoder(tables.lake, tables.spec, None)
    with lease.hold(tables, "verify", job.wait, reached) as held:
        repair.pendings(tables)
        commits = groups.Groups(tables, held, groups.roll_forward(tables, held))
        for _ in range(ROUNDS):
            damage = verify.encoder(tables, job.deep, Findings(), Checked())
            if not damage:
                break
            repair.encoder(tables, commits, damage)
