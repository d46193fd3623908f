"""What lies where in a lake: the lake itself, the tables of an encoder, and the state of them that a reader sees."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError
from pydantic import ValidationError

from smart_jobs import schema, storage
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.lake import releases
from smart_jobs.lake import table as delta
from smart_jobs.lake.table import Change
from smart_jobs.records import JobError


@dataclass(frozen=True, slots=True)
class Lake:
    """One root URI and the id that was drawn when it was made."""

    uri: str
    id: str

    def table_uri(self, table: schema.Table) -> str:
        """Where a table that all encoders share lies."""
        return storage.join(self.uri, table.name)


@dataclass(frozen=True, slots=True)
class EncoderTables:
    """The tables of one encoder, and how its states are stored."""

    lake: Lake
    spec: EncoderSpec
    codec: str

    @property
    def uri(self) -> str:
        """The folder of this encoder's tables and indexes."""
        return storage.join(self.lake.uri, "encoders", self.spec.full_name)

    def table_uri(self, table: schema.Table) -> str:
        """Where `table` lies: below the encoder, or in the lake where all encoders share it."""
        return storage.join(self.uri, table.name) if table in schema.ENCODER_TABLES else self.lake.table_uri(table)


def create_lake(uri: str) -> Lake:
    """The lake at `uri`, made where there is none: an id and the shared tables. Two at once end with one id.

    Raises JobError where the store cannot hold a lake: it must refuse to create what is there already.
    """
    root = storage.absolute(uri)
    storage.delta(root)
    storage.require_create(root)
    marker = storage.join(root, "_lake.json")
    if not storage.exists(marker):
        content = {"lake_id": uuid.uuid4().hex, "schema_version": schema.VERSION}
        storage.create_bytes(marker, json.dumps(content).encode())
    lake = open_lake(root)
    for table in schema.LAKE_TABLES:
        delta.create(lake.table_uri(table), table)
    return lake


def open_lake(uri: str) -> Lake:
    """The lake at `uri`. Raises JobError where there is none, or a newer release made it."""
    root = storage.absolute(uri)
    marker = storage.join(root, "_lake.json")
    if not storage.exists(marker):
        raise JobError(f"lake {uri}: no lake there; `smart-jobs ingest source=… lake={uri}` makes one")
    content = json.loads(storage.read_bytes(marker))
    releases.check(f"lake {uri}", int(content.get("schema_version", 0)))
    return Lake(root, str(content["lake_id"]))


def create_encoder(lake: Lake, spec: EncoderSpec, codec: str | None) -> EncoderTables:
    """The tables of `spec`, made where there are none.

    Raises JobError where they hold another codec than asked for, or where an equal spec has tables under another name:
    commits and claims go by the digest, so the two would take each other's for their own.
    """
    marker = storage.join(lake.uri, "encoders", spec.full_name, "encoder.json")
    if not storage.exists(marker):
        twins = [name for name in encoders(lake) if name.endswith(f"-{spec.digest}")]
        if twins:
            raise JobError(f"encoder {spec.name}: {lake.uri} has the same encoder as {twins[0]}; use that name")
        content = {"spec": spec.model_dump(mode="json"), "codec": codec or "int8"}
        storage.create_bytes(marker, json.dumps(content, indent=2).encode())
    tables = open_encoder(lake, spec.full_name)
    if codec not in (None, tables.codec):
        raise JobError(f"codec={codec}: the states of {spec.full_name} are stored as {tables.codec} in {lake.uri}")
    for table in schema.ENCODER_TABLES:
        delta.create(tables.table_uri(table), table)
    return tables


def open_encoder(lake: Lake, full_name: str) -> EncoderTables:
    """The tables `<name>-<digest>`.

    Raises JobError where there are none, naming those that there are, or where this release cannot read their spec.
    """
    marker = storage.join(lake.uri, "encoders", full_name, "encoder.json")
    if not storage.exists(marker):
        there = ", ".join(encoders(lake)) or "none"
        raise JobError(f"lake {lake.uri}: nothing is encoded with {full_name}; encoders there: {there}")
    content = json.loads(storage.read_bytes(marker))
    try:
        spec = EncoderSpec.model_validate(content["spec"])
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(map(str, wrong["loc"]))
        raise JobError(f"{marker}: a spec that this release cannot read: {where}: {wrong['msg']}, "
                       f"found {wrong['input']!r}; was it made by a newer smart-jobs?") from error  # fmt: skip
    return EncoderTables(lake, spec, content["codec"])


def encoders(lake: Lake) -> list[str]:
    """The full names of the encoders in a lake, sorted."""
    root = storage.join(lake.uri, "encoders")
    return [name for name in storage.folders(root) if storage.exists(storage.join(root, name, "encoder.json"))]


def append(lake: Lake, kind: schema.Table, rows: Sequence[Mapping[str, Any]], app: str) -> None:
    """Append a few rows to a shared table in one commit of its own, e.g. an evaluation's results.

    Tries again where another writer's rewriting of files got in between: Delta takes every append for a reader of all.
    """
    uri = lake.table_uri(kind)
    file = delta.write_file(uri, kind, pa.Table.from_pylist(list(rows), schema=kind.columns))
    version = 0
    for attempt in range(delta.ATTEMPTS):
        handle = delta.open_table(uri)
        newest = handle.transaction_version(app) or 0
        version = version or newest + 1
        if newest >= version:
            return
        try:
            delta.commit(handle, Change([file], [], {app: version}, {}))
        except CommitFailedError:
            if attempt == delta.ATTEMPTS - 1:
                raise
        else:
            return


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a reader sees: pooled, and hidden_states at the version that pooled's newest commit names."""

    tables: EncoderTables
    pooled: DeltaTable
    hidden_states: DeltaTable

    def versions(self) -> dict[str, dict[str, str | int]]:
        """The pins {table: {table_id, version}} with which the same state can be opened again."""
        named = {"pooled": self.pooled, "hidden_states": self.hidden_states}
        return {name: {"table_id": delta.table_id(t), "version": t.version()} for name, t in named.items()}


def snapshot(tables: EncoderTables) -> Snapshot:
    """The newest state that is whole over both tables."""
    pooled = delta.open_table(tables.table_uri(schema.POOLED))
    named = pooled.history(1)[0].get("hidden_states_version", "0")
    return Snapshot(tables, pooled, delta.open_table(tables.table_uri(schema.HIDDEN_STATES), int(named)))


def pinned(tables: EncoderTables, pooled: int, hidden_states: int) -> Snapshot:
    """The state of these versions. Raises JobError where a table is not there."""
    return Snapshot(
        tables,
        delta.open_table(tables.table_uri(schema.POOLED), pooled),
        delta.open_table(tables.table_uri(schema.HIDDEN_STATES), hidden_states),
    )


def reopened(tables: EncoderTables, versions: Mapping[str, Mapping[str, str | int]]) -> Snapshot:
    """The state that had these pins (`Snapshot.versions`). Raises JobError where it cannot be opened any more."""
    numbers = [int(versions[kind.name]["version"]) for kind in (schema.POOLED, schema.HIDDEN_STATES)]
    try:
        found = pinned(tables, *numbers)
    except DeltaError as error:
        reason = " ".join(str(error).split())[:300]
        raise JobError(f"{tables.uri}: versions {numbers} cannot be read any more: {reason}") from error
    if found.versions() != versions:
        raise JobError(f"{tables.uri}: the tables were made anew since, and have other versions now")
    return found
