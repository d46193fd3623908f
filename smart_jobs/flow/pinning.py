"""Which versions of tables must stay: those that indexes and evaluations were made from."""

from collections import defaultdict
from collections.abc import Sequence

from smart_jobs import storage
from smart_jobs.index import manifest
from smart_jobs.index import verify as indexes
from smart_jobs.lake import evaluated, table
from smart_jobs.lake.table import Lake


def pins(lakes: Sequence[Lake]) -> dict[str, set[int]]:
    """{table id: versions}. Raises JobError for a manifest that is damaged: what it pins is not known."""
    found: dict[str, set[int]] = defaultdict(set)
    for lake in lakes:
        for versions in evaluated.pins(lake).values():
            for table_id, version in versions:
                found[table_id].add(version)
        for name in table.encoders(lake):
            for folder in indexes.folders(storage.join(table.open_encoder(lake, name).uri, "indexes")):
                made = manifest.read(folder)
                for pin in (made.built_from, made.hidden_states):
                    found[pin.table_id].add(pin.version)
    return dict(found)
