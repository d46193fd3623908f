"""What each codec of hidden states costs in bytes and time, and what it does to retrieval.

    python -m tests.bench.codecs [--lake DIR] [--sets scifact xquad/en]

Encodes each set once with encoder=minilm and codec=float32 (into DIR/<set>, kept for the next time), then passes the
documents' states through each codec, merged before it or not, and scores them all; queries stay as they are. Prints
nDCG@10, and its difference from float32 with a 95 % interval of a paired bootstrap over the queries, in points. The
speeds are the best of a few times on one thread, in float32 bytes, over documents of their real lengths, beside a
memcpy of the same documents.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smart_jobs import codec, config, settings
from smart_jobs.encode import checkpoint
from smart_jobs.encode.merging import merge
from smart_jobs.evaluate import beir, metrics, scoring
from smart_jobs.flow import bringing, candidates, evaluation
from smart_jobs.flow.candidates import Corpus
from smart_jobs.lake import layout
from smart_jobs.lake.states import Ragged, StatesReader
from smart_jobs.records import Codec
from smart_jobs.search import hybrid, maxsim
from tests.fixtures import FIXTURES
from tests.lake_making import pack

VARIANTS: list[tuple[Codec, int]] = [
    *((name, 1) for name in codec.CODECS),
    ("float32", 2),
    ("int8", 2),
    ("binary", 2),
]  # fmt: skip
RESAMPLES = 10_000
REPEATS = 15


def main() -> None:
    """Print both tables for every set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lake", help="folder of the lakes; a temporary one unless given")
    parser.add_argument("--sets", nargs="+", default=["xquad/en", "scifact"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.sets:
            found = encoded(name, Path(options.lake or folder) / name.replace("/", "-"))
            speeds(name, found.documents)
            quality(name, found)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A set at full precision: `vectors` (q, d) and `pooled` scores (q, n) of the queries, states of both sides."""

    task: beir.Task
    names: list[str]
    corpus: Corpus
    vectors: np.ndarray
    pooled: np.ndarray
    queries: Ragged
    documents: list[np.ndarray]


def encoded(name: str, lake: Path) -> Encoded:
    """The set in a lake of its own, where it is encoded unless it is there."""
    folder = str(FIXTURES / "retrieval" / name)
    words = ["suite=beir", f"suite.path={folder}", f"lake={lake}", "codec=float32"]
    job = config.load(settings.Evaluate, "evaluate", words)
    task = beir.load(folder)
    spec, _ = checkpoint.resolve(job.encoder, job)
    tables = layout.create_encoder(layout.create_lake(f"{lake}/evaluation"), spec, job.codec)
    queries = {query: evaluation._asset(text, "", "query") for query, text in task.queries.items()}
    documents = evaluation._documents(job)
    assets = [*queries.values(), *documents.values()]
    bringing.bring_in(assets, tables, job.encoder, bringing.Options.of(job))
    snapshot = layout.snapshot(tables)
    corpus = candidates.of_assets(snapshot, list(documents), [asset.id for asset in documents.values()])
    names, embeddings = evaluation._embeddings(snapshot, queries)
    vectors = np.stack([item.pooled for item in embeddings])
    pooled = vectors @ hybrid.pooled_vectors(snapshot, corpus.ids).T
    states = StatesReader(snapshot).read(corpus.ids)
    split = np.split(states.values, states.offsets[1:-1])
    return Encoded(task, names, corpus, vectors, pooled, maxsim.ragged([item.states for item in embeddings]), split)


def speeds(name: str, documents: Sequence[np.ndarray]) -> None:
    """GB/s of each codec both ways, beside memcpy."""
    some = [rows * np.float32(3) for rows in documents[:240]]  # as a model gives them: not of norm 1
    size = sum(rows.nbytes for rows in some) / 1e9
    print(f"\n{name}: {len(some)} documents, {sum(map(len, some)):,} states of {some[0].shape[1]} dimensions")
    print(f"{'memcpy':<8} {size / seconds(np.copy, some):6.2f} GB/s")
    for kind in codec.CODECS:
        into = size / seconds(lambda rows, kind=kind: codec.encode(rows, kind), some)
        stored = [(codec.encode(rows, kind), *rows.shape, kind) for rows in some]
        back = size / seconds(lambda data: codec.decode(*data), stored)
        print(f"{kind:<8} {into:6.2f} GB/s encode {back:6.2f} GB/s decode")
    few = some[:24]
    spent = seconds(lambda rows: merge(rows, 2), few) / len(few)
    print(f"{'merge 2':<8} {1e3 * spent:6.2f} ms a document of {np.mean([len(rows) for rows in few]):.0f} states")


def seconds(work: Callable[[Any], object], items: Sequence[Any]) -> float:
    """The best time of `work` on every item: what the machine does when nobody else is on it."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        for item in items:
            work(item)
        best = min(best, time.perf_counter() - start)
    return best


def quality(name: str, found: Encoded) -> None:
    """nDCG@10 of each variant, late and hybrid, with its difference from float32."""
    dim, tokens = found.documents[0].shape[1], sum(map(len, found.documents))
    print(f"\n{name}: {len(found.names)} queries x {len(found.documents)} documents, {tokens:,} states")
    exact: dict[str, np.ndarray] = {}
    for kind, factor in VARIANTS:
        documents = found.documents if factor == 1 else [merge(rows, factor) for rows in found.documents]
        late = late_scores(found.queries, documents, kind)
        size = codec.size(sum(map(len, documents)), dim, kind) / tokens
        line = f"{kind + (f' pool {factor}' if factor > 1 else ''):<14} {size:7.1f} bytes/token {4 * dim / size:5.1f} x"
        for scored, matrix in (("late", late), ("hybrid", found.pooled + late)):
            measured = ndcg(found, matrix)
            middle, low, high = difference(measured, exact.setdefault(scored, measured))
            line += f"  {scored} {100 * measured.mean():.2f} {middle:+.2f} ({low:+.2f} ... {high:+.2f})"
        print(line, flush=True)


def late_scores(queries: Ragged, documents: Sequence[np.ndarray], kind: Codec) -> np.ndarray:
    """(q, n) float32, a chunk of documents at a time."""
    starts = range(0, len(documents), 1024)
    return np.hstack([maxsim.late(queries, pack(documents[start : start + 1024], kind)) for start in starts])


def ndcg(found: Encoded, scores: np.ndarray) -> np.ndarray:
    """nDCG@10 of each judged query."""
    corpus = found.corpus
    best = scoring.best_per_group(scores, corpus.group_of, int(corpus.columns.max()) + 1)[:, corpus.columns]
    measured = metrics.evaluate(best, found.names, corpus.names, found.task.qrels, found.task.name)
    return np.array([measures["ndcg@10"] for measures in measured.values()])


def difference(measured: np.ndarray, exact: np.ndarray) -> tuple[float, float, float]:
    """Mean difference in points, and its 95 % interval over resampled queries."""
    each = 100 * (measured - exact)
    random = np.random.default_rng(0)
    means = [each[random.integers(0, len(each), len(each))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(each.mean()), float(low), float(high)


if __name__ == "__main__":
    main()
