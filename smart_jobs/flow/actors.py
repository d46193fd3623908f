"""The two stages as Ray actors: thin shells around decode, encode and the lake's writer."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from smart_jobs import storage, wire
from smart_jobs.decode import cutting, units
from smart_jobs.decode.sandbox import Sandbox
from smart_jobs.encode import checkpoint, encoder, tokens
from smart_jobs.encode.encoder import Encoder as Model
from smart_jobs.encode.inflight import InFlight
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.flow import cluster
from smart_jobs.flow.ahead import ahead
from smart_jobs.keys import Decode, Encoder
from smart_jobs.lake import copying, layout, writer
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.records import Asset, Attached, Planned


@dataclass(frozen=True, slots=True)
class Run:
    """What every actor of a run needs to know; sent to each once."""

    run_id: str
    lake_uri: str
    lake_id: str
    spec: EncoderSpec
    encoder: Encoder
    unit_tokens: int
    batch_tokens: int
    threads: int = 1
    decode: Decode = field(default_factory=Decode)
    contents: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))


def policy(run: Run) -> cutting.Policy:
    """The decode policy of a run: the passage splitter of its encoder's tokenizer, and a sandbox. Loads no model."""
    split = tokens.splitter(run.spec, checkpoint.locate(run.encoder))
    spec, sandbox = run.spec, Sandbox(run.decode)
    return cutting.Policy(
        spec.digest,
        run.run_id,
        spec.text_long,
        spec.max_length,
        run.unit_tokens,
        split,
        sandbox.parts,
        run.contents,
        spec.sampling,
        run.decode.integrity,
    )


class DecodeActor:
    """Planned assets in, units out, one row each."""

    def __init__(self, run: Run) -> None:
        """Load the tokenizer."""
        self._policy = policy(run)

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        """`batch` in the planned schema. While Ray stores a unit the next is decoded."""
        return ahead(units.units((planned(row) for row in batch.to_pylist()), self._policy))


class Encode(Protocol):
    """An actor of the second stage."""

    def __init__(self, run: Run) -> None:
        """Once, before its first unit."""

    def __call__(self, unit: pa.Table) -> pa.Table:
        """One unit in, its receipt out."""
        ...


class EncodeActor:
    """One unit in, its states written, one receipt out as the last act: a killed actor's unit is simply done again."""

    def __init__(self, run: Run) -> None:
        """Raises JobError where this node does not see the run's lake. The model comes with the first segments."""
        cluster.check_here(run.lake_uri, run.lake_id)
        self._run = run
        self._tables = layout.open_encoder(layout.open_lake(run.lake_uri), run.spec.full_name)
        self._encoder: Model | None = None

    def __call__(self, unit: pa.Table) -> pa.Table:
        """`unit` is one row in the unit schema; the result one row in the receipt schema."""
        return receipt(unit, self._tables, self._load, self._run.run_id)

    def _load(self) -> Model:
        if self._encoder is None:
            run = self._run
            folder, adapter = checkpoint.locate(run.encoder), checkpoint.adapter(run.encoder)
            self._encoder = encoder.load(run.spec, folder, run.threads, run.batch_tokens, adapter)
        return self._encoder


def receipt(unit: pa.Table, tables: EncoderTables, load: Callable[[], Model], run_id: str) -> pa.Table:
    """Encode the segments of a unit, write their states, and return its receipt. Without segments nothing is loaded.

    May kill this process: the next call for the same unit in the same run takes up the marker, and from the third on
    finds the segments that do it.
    """
    segments = units.segments(unit)
    copies = copying.copies(tables, unit["copies"][0].as_py(), run_id)
    if not segments:
        return writer.receipt(tables, unit, [], [], run_id, copies)
    started = time.perf_counter()
    marker = InFlight(storage.join(tables.uri, "_inflight", f"{unit['unit'][0].as_py()}.json"), run_id)
    model = load()
    loaded = time.perf_counter()
    results = marker.encode(model, segments)
    encoded = time.perf_counter()
    made = writer.receipt(tables, unit, segments, results, run_id, copies)
    marker.done()
    written = time.perf_counter()
    return _timed(made, load=loaded - started, encode=encoded - loaded, write=written - encoded)


def _timed(made: pa.Table, **seconds: float) -> pa.Table:
    column = wire.RECEIPT.get_field_index("seconds")
    kind = wire.RECEIPT.field(column)
    return made.set_column(column, kind, pa.array([list(seconds.items())], kind.type))


def planned(row: dict[str, Any]) -> Planned:
    """A planned asset from its row."""
    files = tuple(Attached(**file) for file in row["asset"]["files"])
    asset = Asset(**{**row["asset"], "meta": dict(row["asset"]["meta"]), "files": files})
    partial = {version: frozenset(ordinals) for version, ordinals in row["partial"]}
    return Planned(asset, frozenset(row["complete"]), partial)
