"""Which lakes and encoders a config names."""

from smart_jobs import storage
from smart_jobs.encode import checkpoint
from smart_jobs.keys import Cut, Encoder
from smart_jobs.lake import layout
from smart_jobs.lake.layout import EncoderTables, Lake
from smart_jobs.records import JobError


def tables_of(lake: Lake, encoder: Encoder, cut: Cut) -> EncoderTables:
    """The tables that `encoder` names: one digest where it pins one, else what its config resolves to.

    Raises JobError naming what is there where the lake has none.
    """
    if encoder.digest is not None:
        return layout.open_encoder(lake, f"{encoder.name}-{encoder.digest}")
    spec, _ = checkpoint.resolve(encoder, cut)
    if not layout.encoders(lake):
        raise JobError(f"lake {lake.uri}: nothing is encoded yet; `smart-jobs ingest source=… lake={lake.uri}` does")
    return layout.open_encoder(lake, spec.full_name)


def lakes_of(uri: str) -> list[Lake]:
    """The lake at `uri`, and that of its evaluations where there is one. Raises JobError where there is none."""
    outer = layout.open_lake(uri)
    inner = storage.join(outer.uri, "evaluation")
    return [outer, layout.open_lake(inner)] if storage.exists(storage.join(inner, "_lake.json")) else [outer]


def others(lake: Lake, tables: EncoderTables) -> list[str]:
    """Encoders of the same name but another spec that the lake holds too."""
    name, mine = tables.spec.name, tables.spec.full_name
    return [found for found in layout.encoders(lake) if found.rpartition("-")[0] == name and found != mine]
