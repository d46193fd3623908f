"""The two stages as Ray actors: thin shells around decode, encode and the lake's writer."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from smart_jobs import schema
from smart_jobs.decode import units
from smart_jobs.encode import checkpoint, encoder
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.encode.tokens import Tokenizer
from smart_jobs.flow import cluster
from smart_jobs.lake import table, writer
from smart_jobs.records import Asset, Planned
from smart_jobs.settings import Encoder


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
    threads: int


def policy(run: Run) -> units.Policy:
    """The decode policy of a run, with the passage splitter of its encoder's tokenizer. Loads no model."""
    tokenizer = Tokenizer(run.spec, checkpoint.locate(run.encoder))

    def split(text: str, side: str, instruction: str) -> list[str]:
        return tokenizer.split(text, run.spec.prompt(side, instruction))

    return units.Policy(run.spec.digest, run.run_id, run.spec.text_long, run.spec.max_length, run.unit_tokens, split)


class DecodeActor:
    """Planned assets in, units out, one row each."""

    def __init__(self, run: Run) -> None:
        """Load the tokenizer."""
        self._policy = policy(run)

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        """`batch` in the planned schema."""
        return units.units((planned(row) for row in batch.to_pylist()), self._policy)


class EncodeActor:
    """One unit in, its states written, one receipt out as the last act: a killed actor's unit is simply done again."""

    def __init__(self, run: Run) -> None:
        """Load the model; raises JobError where this node does not see the run's lake."""
        cluster.check_here(run.lake_uri, run.lake_id)
        self._run = run
        self._tables = table.open_encoder(table.open_lake(run.lake_uri), run.spec.full_name)
        self._encoder = encoder.load(run.spec, checkpoint.locate(run.encoder), run.threads, run.batch_tokens)

    def __call__(self, unit: pa.Table) -> pa.Table:
        """`unit` is one row in the unit schema; the result one row in the receipt schema."""
        start = time.perf_counter()
        segments = [units.segment(row) for row in unit["segments"][0].as_py()]
        results = self._encoder.encode(segments)
        encoded = time.perf_counter()
        receipt = writer.receipt(self._tables, unit, segments, results, self._run.run_id)
        seconds = [("encode", encoded - start), ("write", time.perf_counter() - encoded)]
        column = schema.RECEIPT.get_field_index("seconds")
        return receipt.set_column(
            column, schema.RECEIPT.field(column), pa.array([seconds], schema.RECEIPT.field(column).type)
        )


def planned(row: dict[str, Any]) -> Planned:
    """A planned asset from its row."""
    asset = Asset(**{**row["asset"], "meta": dict(row["asset"]["meta"])})
    partial = {version: frozenset(ordinals) for version, ordinals in row["partial"]}
    return Planned(asset, frozenset(row["complete"]), partial, row["attempts"])
