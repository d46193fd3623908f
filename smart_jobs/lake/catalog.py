"""The names by which SQL knows the tables of a lake."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence

from deltalake import DeltaTable

from smart_jobs import schema, storage
from smart_jobs.lake import layout, table
from smart_jobs.lake.layout import EncoderTables, Lake
from smart_jobs.records import JobError

Catalog = Mapping[str, Callable[[], DeltaTable]]
"""By name, what opens the table: one that no query asks for costs nothing."""

SHARED = (schema.FAILURES, schema.ASSETS, schema.RUNS)
"""What of an evaluation lake's own shared tables has rows."""


def of(lake: Lake, encoder: str | None) -> Catalog:
    """Every table of a lake. `pooled` and `hidden_states` are those of `encoder`, or of the only one.

    With several encoders each also has `pooled_<name>_<digest>`, in lower case with `_` for what is no identifier.
    What an evaluation encoded has `evaluation_` before its name. hidden_states is at the version that pooled names.
    Raises JobError where the lake has no such encoder.
    """
    if encoder is not None:
        pick(lake, encoder)
    found = {**_shared(lake, schema.LAKE_TABLES, ""), **_encoded(lake, encoder, "")}
    inner = storage.join(lake.uri, "evaluation")
    if storage.exists(storage.join(inner, "_lake.json")):
        own = layout.open_lake(inner)
        found |= _shared(own, SHARED, "evaluation_") | _encoded(own, encoder, "evaluation_")
    return found


def pick(lake: Lake, encoder: str | None) -> EncoderTables:
    """The tables of the encoder of this name or full name, or of the only one. Raises JobError naming what is there."""
    names = _matching(lake, encoder)
    if len(names) == 1:
        return layout.open_encoder(lake, names[0])
    there = ", ".join(names or layout.encoders(lake)) or "none"
    asked = "one of its encoders has to be named" if encoder is None else f"{encoder} names {len(names)} encoders"
    raise JobError(f"lake {lake.uri}: {asked}; encoders there: {there}")


def _matching(lake: Lake, encoder: str | None) -> list[str]:
    return [name for name in layout.encoders(lake) if encoder in (None, name, name.rpartition("-")[0])]


def _shared(lake: Lake, kinds: Sequence[schema.Table], prefix: str) -> dict[str, Callable[[], DeltaTable]]:
    return {f"{prefix}{kind.name}": functools.partial(table.open_table, lake.table_uri(kind)) for kind in kinds}


def _encoded(lake: Lake, encoder: str | None, prefix: str) -> dict[str, Callable[[], DeltaTable]]:
    names, chosen = layout.encoders(lake), _matching(lake, encoder)
    found: dict[str, Callable[[], DeltaTable]] = {}
    for name in names if len(names) > 1 else ():
        ending = "_" + re.sub(r"\W", "_", name.lower(), flags=re.ASCII)
        found |= _pair(layout.open_encoder(lake, name), prefix, ending)
    if len(chosen) == 1:
        found |= _pair(layout.open_encoder(lake, chosen[0]), prefix, "")
    return found


def _pair(tables: EncoderTables, prefix: str, ending: str) -> dict[str, Callable[[], DeltaTable]]:
    """Both tables of one encoder, of the same snapshot whichever is opened first."""
    snapshot = functools.cache(lambda: layout.snapshot(tables))
    return {
        f"{prefix}{schema.POOLED.name}{ending}": lambda: snapshot().pooled,
        f"{prefix}{schema.HIDDEN_STATES.name}{ending}": lambda: snapshot().hidden_states,
    }
