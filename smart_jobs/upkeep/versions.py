"""Can the versions of tables that indexes and evaluations name still be read."""

from collections.abc import Iterable

from deltalake.exceptions import DeltaError

from smart_jobs import schema
from smart_jobs.lake import layout, table
from smart_jobs.lake.layout import Lake
from smart_jobs.records import JobError
from smart_jobs.upkeep import datafiles


class Versions:
    """The tables of some lakes by the id that Delta drew for each."""

    def __init__(self, lakes: Iterable[Lake]) -> None:
        self._uris: dict[str, str] = {}
        self._told: dict[tuple[str, int], str | None] = {}
        for lake in lakes:
            for name in layout.encoders(lake):
                tables = layout.open_encoder(lake, name)
                for kind in schema.ENCODER_TABLES:
                    self._add(tables.table_uri(kind))

    def _add(self, uri: str) -> None:
        try:
            self._uris[table.table_id(table.open_table(uri))] = uri
        except (JobError, DeltaError):
            return  # a table that is gone has no versions either

    def problem(self, table_id: str, version: int) -> str | None:
        """Why that version cannot be read, None where it can: its log loads and all its files are there."""
        key = (table_id, version)
        if key not in self._told:
            self._told[key] = self._look(table_id, version)
        return self._told[key]

    def _look(self, table_id: str, version: int) -> str | None:
        uri = self._uris.get(table_id)
        if uri is None:
            return f"no table has the id {table_id}"
        try:
            handle = table.open_table(uri, version)
        except (JobError, DeltaError) as error:
            return " ".join(str(error).split())
        gone = set(table.files_of(handle)) - set(datafiles.lying(uri))
        return f"{len(gone)} of its files are gone" if gone else None
