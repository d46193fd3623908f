"""A query -> its embedding -> hits with what a person needs to see them. Starts no Ray."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from smart_jobs import config, progress, storage
from smart_jobs.decode import segments
from smart_jobs.decode.opening import Wanted
from smart_jobs.decode.parts import Part
from smart_jobs.decode.sandbox import Sandbox
from smart_jobs.encode import checkpoint, encoder
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.flow import locate
from smart_jobs.keys import Encoder as EncoderConfig
from smart_jobs.lake import layout
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.lease import passed_over
from smart_jobs.records import AssetError, Embedding, Hits, JobError, Media, Segment, UsageError, Visual
from smart_jobs.search import ann, hybrid, opened
from smart_jobs.search.opened import Opened
from smart_jobs.settings import Explain, Search

SHOWN = ["segment_id", "uri", "page", "start", "end", "title", "text"]
BATCH = ("columns", "out", "part_queries")
"""Keys that mean something beside `queries` alone."""


def run(job: Search, reached: Callable[[str], None] = passed_over) -> dict[str, Any]:
    """Embed the query and search, or answer a table of queries. The JSON object of `smart-jobs search`.

    `reached` is told each `part` of a table that is done.
    """
    _check(job)
    if job.queries is not None:
        from smart_jobs.flow import batch_search  # late: a single search starts no Ray

        return batch_search.run(job, reached)
    lake = layout.open_lake(job.lake.uri)
    tables = locate.tables_of(lake, job.encoder, job)
    for other in locate.others(lake, tables):
        progress.say(f"search: the lake also holds {other}; encoder={other} searches that")
    seen = opened.newest(tables)
    seen.allowed(job.where)  # says what is missing before a model is loaded
    late = None if job.exhaustive else seen.behind()
    if late is not None:
        progress.say(f"search: {late}")
    hits = hybrid.search(
        seen,
        [embed_query(loaded(tables, job.encoder), query_segment(tables.spec, job))],
        job.k,
        candidates=job.candidates,
        weights=hybrid.Weights(job.lambda_pooled, job.lambda_late),
        where=job.where,
        exhaustive=job.exhaustive,
        fresh=job.fresh,
        held=job.held,
    )
    return {"hits": _rows(seen, hits)}


def dry_run(job: Search) -> dict[str, Any]:
    """What would be searched, without loading a model."""
    _check(job)
    if job.queries is not None:
        from smart_jobs.flow import batch_search  # late, as above

        return batch_search.dry_run(job)
    seen = opened.newest(locate.tables_of(layout.open_lake(job.lake.uri), job.encoder, job))
    allowed = seen.allowed(job.where)
    made = None if job.exhaustive else seen.made[1]
    scored = len(allowed) if made is None else min(job.candidates or made.candidates or ann.CANDIDATES, len(allowed))
    return {"dry_run": True, "encoder": seen.snapshot.tables.spec.full_name, "segments": len(allowed),
            "index": made and made.index_id, "exactly_scored": scored}  # fmt: skip


def _check(job: Search) -> None:
    if job.queries is None:
        if alone := [name for name in BATCH if name in job.model_fields_set]:
            raise UsageError(f"{alone[0]}: only queries=FILE takes it")
        check_query("search", job)
    elif job.query.strip() or job.image or job.video:
        raise UsageError(f"queries={job.queries}: give a table of queries or one query, not both")
    elif not job.out:
        raise UsageError("out: missing; queries=FILE wants out=FOLDER for the answers")


def lake(uri: str, encoder: str = "minilm", *keys: str) -> Opened:
    """A lake as it is now, for `hybrid.search` in Python; `encoder` and `keys` are as on the command line.

    The model is loaded for the first query that is a text. Raises UsageError for a wrong key, JobError where the lake
    or its encoder is not there.
    """
    job = config.load(Search, "search", [f"lake={uri}", f"encoder={encoder}", *keys])
    tables = locate.tables_of(layout.open_lake(job.lake.uri), job.encoder, job)
    model = cache(lambda: loaded(tables, job.encoder))

    def embed(texts: Sequence[str]) -> Sequence[Embedding | AssetError]:
        return model().encode([_asked(text) for text in texts])

    return opened.newest(tables, embed)


def check_query(verb: str, job: Search | Explain) -> None:
    """Raises UsageError where there is no query."""
    if not (job.query.strip() or job.image or job.video):
        raise UsageError(f"{verb}: nothing to search for; give a question, image=… or video=…")


def loaded(tables: EncoderTables, config: EncoderConfig) -> encoder.Encoder:
    """The encoder of `tables` on all of this machine. Raises JobError where its weights are not to be had."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    folder, adapter = checkpoint.locate(config), checkpoint.adapter(config)
    return encoder.load(tables.spec, folder, threads, batch_tokens=4096, adapter=adapter)


def embed_query(model: encoder.Encoder, segment: Segment) -> Embedding:
    """The query as the encoder sees queries. Raises JobError where it cannot be encoded."""
    [result] = model.encode([segment])
    if isinstance(result, AssetError):
        raise JobError(f"the query cannot be encoded: {result.detail}")
    return result


def query_segment(spec: EncoderSpec, job: Search | Explain) -> Segment:
    """The question with its image and video, which are sampled as the encoder samples a whole one.

    Raises JobError naming the file that cannot be used.
    """
    given: list[tuple[str, Media]] = []
    given += [(job.video, "video")] if job.video else []
    given += [(job.image, "image")] if job.image else []
    visuals = tuple(visual for uri, media in given for visual in _seen(uri, media, spec, job))
    return replace(_asked(job.query), visuals=visuals)


def _asked(text: str) -> Segment:
    return Segment(0, "", "", "", "", "row", 0, 1, None, "", text, "query", "", {})


def _seen(uri: str, media: Media, spec: EncoderSpec, job: Search | Explain) -> list[Visual]:
    wanted = Wanted(uri, media, spec.sampling).whole()
    try:
        segments.refuse(wanted)
        content = storage.read_bytes(storage.absolute(uri))
        parts = list(Sandbox(job.decode).parts(content, wanted))
        bad = next((part for part in parts if isinstance(part, AssetError)), None)
    except OSError as error:
        raise JobError(f"{media}={uri}: cannot be read: {' '.join(str(error).split())}") from error
    except AssetError as error:
        bad = error
    if bad is not None:
        raise JobError(f"{media}={uri}: {bad.detail}") from bad
    return [visual for part in parts if isinstance(part, Part) for visual in part.visuals]


def _rows(lake: Opened, hits: Hits) -> list[dict[str, Any]]:
    ids = hits.ids[0][hits.ids[0] >= 0]
    by_id = {row["segment_id"]: row for row in lake.rows.read(np.sort(ids), SHOWN).to_pylist()}
    return [
        {
            "rank": place + 1,
            "segment_id": str(segment),
            "uri": by_id[segment]["uri"],
            "page": by_id[segment]["page"],
            "start": by_id[segment]["start"],
            "end": by_id[segment]["end"],
            "score": round(float(hits.scores[0, place]), 6),
            "pooled": None if np.isnan(hits.pooled[0, place]) else round(float(hits.pooled[0, place]), 6),
            "late": round(float(hits.late[0, place]), 6),
            "title": by_id[segment]["title"],
            "text": " ".join(by_id[segment]["text"].split()),
        }
        for place, segment in enumerate(ids.tolist())
    ]
