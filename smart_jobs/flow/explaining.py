"""A query and a stored segment -> which token met which, as a table and as a picture. Starts no Ray."""

import io
from dataclasses import asdict, replace
from typing import Any, cast

import numpy as np
import pyarrow.compute as pc
from PIL import Image

from smart_jobs import codec, masks, storage
from smart_jobs.draw import picture
from smart_jobs.draw.lettering import Letters
from smart_jobs.draw.sheet import Sheet
from smart_jobs.encode.encoder import Encoder
from smart_jobs.flow import as_seen, locate, searching
from smart_jobs.flow.as_seen import Stored, UnseenError
from smart_jobs.lake import layout, table
from smart_jobs.lake.layout import EncoderTables, Lake
from smart_jobs.lake.reader import StatesReader
from smart_jobs.records import Codec, Embedding, JobError, Segment
from smart_jobs.search import explain
from smart_jobs.search.explain import Met, Side, Token
from smart_jobs.settings import Explain

SEGMENT = ["segment_id", "asset_id", "uri", "source", "version", "media", "ordinal", "of", "page", "start", "end",
           "title", "text"]  # fmt: skip
PLACES = 6


def run(job: Explain) -> dict[str, Any]:
    """Embed the query, compare its states with the stored ones, draw. The JSON object of `smart-jobs explain`.

    Raises UsageError or JobError; that the segment cannot be shown any more is only said in the result's notes.
    """
    searching.check_query("explain", job)
    letters = Letters(job.font)
    tables = locate.tables_of(layout.open_lake(job.lake.uri), job.encoder, job)
    stored = _stored(tables, job.segment)
    model = searching.loaded(tables, job.encoder)
    asked = searching.query_segment(tables.spec, job)
    embedding = searching.embed_query(model, asked)
    query = _query(tables, model, asked, embedding)
    document = Side(len(stored.states), stored.kinds, stored.grids, stored.times)
    met = explain.met(embedding.states, stored.states)
    drawn, notes = None, []
    try:
        seen = as_seen.prompt(stored, tables.spec, job, model)
        document = replace(document, words=seen.words())
        sheet = Sheet.of(met, query, document, seen, letters)
        _write(job.out, picture.picture(sheet, _heading(job, stored, met)))
        drawn, notes = storage.absolute(job.out), _lacking(letters)
    except UnseenError as why:
        earlier = f"; {job.out} is an earlier one" if storage.exists(job.out) else ""
        notes = [f"no picture: {why}{earlier}"]
    pooled = float(embedding.pooled @ stored.pooled) if tables.spec.pooled_kind == "model" else None
    scores = {"pooled": pooled and round(pooled, PLACES), "late": round(met.late, PLACES)}
    return {**_named(tables, stored), **scores, "picture": drawn, "notes": notes, **_tokens(met, query, document)}


def dry_run(job: Explain) -> dict[str, Any]:
    """What would be explained, without loading a model or opening the source."""
    searching.check_query("explain", job)
    tables = locate.tables_of(layout.open_lake(job.lake.uri), job.encoder, job)
    stored = _stored(tables, job.segment)
    return {"dry_run": True, **_named(tables, stored), "states": len(stored.states), "out": storage.absolute(job.out)}


def _stored(tables: EncoderTables, segment: int) -> Stored:
    """Raises JobError where the encoder has no such segment, naming one that has."""
    snapshot = layout.snapshot(tables)
    found = table.read(snapshot.pooled, [*SEGMENT, "pooled"], pc.field("segment_id") == segment).to_pylist()
    if not found:
        others = [name for name in layout.encoders(tables.lake) if _has(tables.lake, name, segment)]
        hint = f"; encoder={others[0]} has one" if others else ""
        raise JobError(f"segment {segment}: {tables.spec.full_name} has no such segment in {tables.lake.uri}{hint}")
    [states] = StatesReader(snapshot).stored(np.array([segment])).to_pylist()
    decoded = codec.decode(states["states"], states["n_tokens"], states["dim"], cast("Codec", states["codec"]))
    kinds = None if states["token_kinds"] is None else masks.kinds(states["token_kinds"])
    grids = tuple(map(tuple, np.reshape(states["grids"] or [], (-1, 3)).astype(int).tolist()))
    return Stored(found[0], np.array(found[0]["pooled"], np.float32), decoded, kinds, grids,
                  tuple(states["frame_times"] or ()))  # fmt: skip


def _has(lake: Lake, name: str, segment: int) -> bool:
    pooled = layout.snapshot(layout.open_encoder(lake, name)).pooled
    return bool(table.read(pooled, ["segment_id"], pc.field("segment_id") == segment).num_rows)


def _query(tables: EncoderTables, model: Encoder, asked: Segment, embedding: Embedding) -> Side:
    """What the query's states are. Raises JobError where the mask leaves none of its tokens."""
    mask = tables.spec.mask_of("query")
    if embedding.kinds is None:
        raise JobError(f"explain: the mask {mask} keeps no token of this query; its pooled vector is its only state")
    kept = model.prompt(asked)
    kept = kept.take(masks.keep(kept.kinds, mask))
    return Side(len(kept.ids), kept.kinds, kept.grids, embedding.times, kept.words())


def _named(tables: EncoderTables, stored: Stored) -> dict[str, Any]:
    named = {name: stored.row[name] for name in ("uri", "page", "start", "end", "title")}
    return {"encoder": tables.spec.full_name, "segment_id": str(stored.row["segment_id"]), **named}


def _heading(job: Explain, stored: Stored, met: Met) -> list[str]:
    """What was asked, of what, and the score."""
    row, given = stored.row, [job.query, job.image or "", job.video or ""]
    part = f", page {row['page']}" if row["page"] else ""
    part = f", {row['start']:.1f} to {row['end']:.1f} s" if row["start"] is not None else part
    return [
        "  ".join(text for text in given if text),
        f"{row['title'] or row['uri']}{part}",
        f"late score {met.late:.4f}: the mean of the best cosines of {len(met.best)} query tokens",
    ]


def _write(out: str, image: Image.Image) -> None:
    data = io.BytesIO()
    image.save(data, "PNG", optimize=True)
    storage.write_bytes(out, data.getvalue())


def _lacking(letters: Letters) -> list[str]:
    if not letters.lacking:
        return []
    some = " ".join(sorted(letters.lacking)[:10])
    return [f"the picture's font lacks {len(letters.lacking)} characters ({some}): plainer ones stand there; "
            "font=FILE names a TrueType font that has them"]  # fmt: skip


def _tokens(met: Met, query: Side, document: Side) -> dict[str, Any]:
    """Every query token with its cosines, what it met and what that adds; and what the document's tokens are."""
    there = explain.tokens(document)
    asked = [
        {
            **_token(token),
            "cosine": round(cosine, PLACES),
            "adds": round(adds, PLACES),
            "share": round(adds / met.late, PLACES) if met.late > 0 else None,
            "met": _token(there[best]),
            "cosines": np.round(cosines.astype(float), PLACES).tolist(),
        }
        for token, cosine, adds, best, cosines in zip(
            explain.tokens(query), met.maxima.tolist(), met.adds.tolist(), met.best.tolist(), met.cosines, strict=True
        )
    ]
    return {"tokens": asked, "document": list(map(_token, there))}


def _token(token: Token) -> dict[str, Any]:
    return {"name": token.name, **asdict(token)}
