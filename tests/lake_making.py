"""Made-up assets, embeddings and runs for the tests of the lake: everything between plan and commit, without Ray."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from smart_jobs import codec, schema, wire
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.lake import failures, groups, known, layout, table, writer
from smart_jobs.lake.commit import Committer
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.lease import Lease, passed_over
from smart_jobs.lake.states import Packed
from smart_jobs.records import Asset, AssetError, Codec, Embedding, Planned, Segment, segment_id, text_digest

DIM = 4


def make_spec(name: str = "made", dim: int = DIM, revision: str = "r1") -> EncoderSpec:
    return EncoderSpec(
        name=name,
        family="text",
        model="made-up",
        revision=revision,
        processor="none",
        dim=dim,
        pooling="mean",
        normalize=True,
        mask="reference",
        max_length=16,
        dtype="float32",
        prompts={},
        text_long="auto",
    )


def make_tables(uri, codec: str = "float32", **spec) -> EncoderTables:
    return layout.create_encoder(layout.create_lake(str(uri)), make_spec(**spec), codec)


@dataclass(frozen=True)
class Doc:
    """An asset as it lies there now. `pieces` has g for a good and b for a bad segment; without any, it is damaged."""

    uri: str
    version: str
    pieces: str
    stamp: str = ""

    @property
    def asset(self) -> Asset:
        return Asset(self.uri, "made", self.stamp or f"at {self.version}", "text", 1)


def state_rows(*columns) -> pa.Table:
    """Rows of hidden_states from its five columns that are never null; of their tokens nothing is said."""
    kinds = schema.HIDDEN_STATES.columns
    unsaid = [pa.nulls(len(columns[0]), kinds.field(name).type) for name in schema.TOKENS]
    said = [column if isinstance(column, pa.ChunkedArray) else pa.array(column) for column in columns]
    return pa.table([*said, *unsaid], schema=kinds)


def pack(documents: Sequence[np.ndarray], name: Codec) -> Packed:
    """States (n_i, d) of several segments as the codec stores them."""
    values = [np.frombuffer(codec.encode(rows, name), np.uint8) for rows in documents]
    heads = [codec.factor_bytes(name) * len(rows) for rows in documents]
    factors = np.concatenate([value[:head] for value, head in zip(values, heads, strict=True)])
    codes = np.concatenate([value[head:] for value, head in zip(values, heads, strict=True)])
    dim = documents[0].shape[1]
    offsets = np.cumsum([0, *map(len, documents)])
    return Packed(name, dim, factors.view(codec.FACTORS.get(name, "<f4")), codes.reshape(offsets[-1], -1), offsets)


def make_segment(uri: str, version: str, ordinal: int, of: int, text: str = "g") -> Segment:
    key = segment_id(uri, version, ordinal)
    asset = Asset(uri, "made", "", "text", 1).id
    return Segment(
        key, asset, uri, "made", version, "text", ordinal, of, None, "", text, "document", "", {"tenant": "x"}
    )


def embed(segment: Segment, dim: int = DIM) -> Embedding:
    """Always the same for a segment, and another for each; its states have norm 1 and so come back from float32."""
    random = np.random.default_rng(segment.segment_id)
    states = codec.unit(random.standard_normal((1 + segment.segment_id % 3, dim)))
    pooled = states.mean(axis=0)
    return Embedding(pooled / np.linalg.norm(pooled), states)


def encode(segment: Segment, dim: int = DIM) -> Embedding | AssetError:
    return AssetError("not_finite", "made up", "encode") if segment.text == "b" else embed(segment, dim)


def failure_row(asset: str, version: str, run_id: str = "r", **other) -> dict:
    empty = dict.fromkeys(schema.FAILURES.columns.names)
    row = {"asset_id": asset, "uri": "u", "source": "made", "version": version, "step": "decode", "reason": "damaged"}
    return empty | row | {"detail": "made up", "attempts": 1, "run_id": run_id, "at": 0} | other


def asset_row(doc: Doc, run_id: str) -> dict:
    row = {"asset_id": doc.asset.id, "uri": doc.uri, "source": "made", "stamp": doc.asset.stamp}
    return row | {"version": doc.version, "media": "text", "size": 1, "run_id": run_id}


def decode(item: Planned, doc: Doc, run_id: str) -> list[Segment | dict]:
    """What `decode.units` makes of an asset: what is missing of it, and its own row last."""
    parts: list[Segment | dict] = []
    if doc.version not in item.complete:
        done = item.partial.get(doc.version, frozenset())
        if not doc.pieces:
            parts.append(failure_row(doc.asset.id, doc.version, run_id))
        for ordinal, text in enumerate(doc.pieces):
            if ordinal not in done:
                parts.append(make_segment(doc.uri, doc.version, ordinal, len(doc.pieces), text))
    return [*parts, asset_row(doc, run_id)]


def make_receipt(tables: EncoderTables, parts: Sequence[Segment | dict], run_id: str = "r") -> pa.Table:
    """The receipt of one unit that holds `parts`; its states are written."""
    segments = [part for part in parts if isinstance(part, Segment)]
    rows = [part for part in parts if isinstance(part, dict)]
    unit = {
        "unit": text_digest(*(str(part) for part in parts))[:16],
        "segments": [{**asdict(segment), "meta": list(segment.meta.items())} for segment in segments],
        "copies": [],
        "failures": [row for row in rows if "reason" in row],
        "assets": [row for row in rows if "stamp" in row],
    }
    made = pa.Table.from_pylist([unit], schema=wire.UNIT)
    results = [encode(segment, tables.spec.dim) for segment in segments]
    return writer.receipt(tables, made, segments, results, run_id)


def make_committer(tables: EncoderTables, epoch: int = 1) -> Committer:
    """A writer whose lease is `epoch`, after it has picked up what earlier ones left."""
    held = Lease(f"run-{epoch}", epoch)
    waiting = groups.roll_forward(tables, held)
    return Committer(tables, held, known.load(tables, waiting.rows, known.passing(())), waiting)


@dataclass(frozen=True)
class Run:
    """How a run goes about it: after how many parts a unit is cut, and after how many units it commits."""

    unit: int = 2
    group: int = 1

    def ingest(
        self, tables: EncoderTables, docs: Iterable[Doc], epoch: int, reached: Callable[[str], None] = passed_over
    ) -> int:
        """What `flow.ingest` does, Ray apart; how many segments were given to the encoder."""
        held, by_uri = Lease(f"run-{epoch}", epoch, reached=reached), {doc.uri: doc for doc in docs}
        waiting = groups.roll_forward(tables, held)
        have = known.load(tables, waiting.rows, known.passing(()))
        plan = [item for item in known.plan([doc.asset for doc in by_uri.values()], have) if item is not None]
        parts = [part for item in plan for part in decode(item, by_uri[item.asset.uri], held.run_id)]
        committer = Committer(tables, held, have, waiting)
        for number, start in enumerate(range(0, len(parts), self.unit), start=1):
            committer.add(make_receipt(tables, parts[start : start + self.unit], held.run_id))
            if number % self.group == 0:
                committer.commit()
        committer.commit()
        failures.tidy(tables)
        held.reached("tidied")
        return sum(isinstance(part, Segment) for part in parts)


def rows_of(tables: EncoderTables, kind: schema.Table, version: int | None = None) -> list[dict]:
    return table.read(table.open_table(tables.table_uri(kind), version), kind.columns.names).to_pylist()


def content(tables: EncoderTables) -> dict[str, Counter]:
    """What the tables hold, as counts of rows; without run ids, times and the names of files."""
    kept = {
        schema.POOLED: ["segment_id", "asset_id", "uri", "version", "ordinal", "of", "n_tokens", "pooled"],
        schema.HIDDEN_STATES: schema.HIDDEN_STATES.columns.names,
        schema.FAILURES: ["spec", "asset_id", "version", "ordinal", "of", "reason", "attempts"],
    }
    return {
        kind.name: Counter(str([row[name] for name in names]) for row in rows_of(tables, kind))
        for kind, names in kept.items()
    }


def promised(docs: Iterable[Doc]) -> Counter:
    """(uri, version, ordinal) of every row that pooled must hold."""
    return Counter(
        (doc.uri, doc.version, ordinal) for doc in docs for ordinal, text in enumerate(doc.pieces) if text == "g"
    )


def shown(tables: EncoderTables, version: int | None = None) -> Counter:
    """(uri, version, ordinal) of every row that pooled holds."""
    return Counter((row["uri"], row["version"], row["ordinal"]) for row in rows_of(tables, schema.POOLED, version))
