"""Which versions of tables must stay: those that indexes and evaluations were made from."""

from collections import defaultdict
from collections.abc import Sequence

from smart_jobs import storage
from smart_jobs.index import manifest
from smart_jobs.lake import layout
from smart_jobs.lake.layout import Lake
from smart_jobs.upkeep import evaluated
from smart_jobs.upkeep import verify_indexes as indexes


def pins(lakes: Sequence[Lake]) -> dict[str, set[int]]:
    """{table id: versions}. Raises JobError for a manifest that is damaged: what it pins is not known."""
    found: dict[str, set[int]] = defaultdict(set)
    for lake in lakes:
        for versions in evaluated.pins(lake).values():
            for table_id, version in versions:
                found[table_id].add(version)
        for name in layout.encoders(lake):
            for folder in indexes.folders(storage.join(layout.open_encoder(lake, name).uri, "indexes")):
                made = manifest.read(folder)
                for pin in (made.built_from, made.hidden_states):
                    found[pin.table_id].add(pin.version)
    return dict(found)
