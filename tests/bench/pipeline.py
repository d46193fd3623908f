"""How much of the bare model's speed is left when the whole pipeline runs around it.

    python -m tests.bench.pipeline

The same segments in the same packed batches, with the same CPU threads, in one process tree and in turn: A is the
ingest flow after its actors are up (decode, encode, states written, receipts, commits), B the model called in a loop.
Prints segments a second of both, their ratio, and where A's seconds went.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from pipelines import demo_corpus
from smart_jobs import config, settings, sources
from smart_jobs.decode import units
from smart_jobs.encode import checkpoint, encoder
from smart_jobs.encode.tokens import Tokenizer
from smart_jobs.flow import actors, cluster, stream
from smart_jobs.lake import groups, known, layout, lease
from smart_jobs.lake.commit import Committer
from smart_jobs.records import Planned

WARM_UP = 2
"""Receipts before the clock starts: the actors are up, and torch has run every shape once."""


def main() -> None:
    """Run A and B in turn and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the encoder, in both")
    parser.add_argument("--documents", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        demo_corpus.build(Path(folder), options.documents)
        words = [f"source={folder}/docs", f"lake={folder}/lake", f"cluster.encode_threads={options.threads}",
                 "unit_tokens=8192"]  # fmt: skip
        job = config.load(settings.Ingest, "ingest", words)
        with cluster.connected(job.cluster):
            pairs = [(flow(job, Path(folder) / f"lake{i}"), bare(job, options.threads)) for i in range(options.repeats)]
    report(pairs, options.threads)


def flow(job: settings.Ingest, folder: Path) -> dict[str, float]:
    """One ingest of everything into a fresh lake; seconds from the end of the warm-up to the last commit."""
    spec, _ = checkpoint.resolve(job.encoder, job)
    plan = [Planned(asset) for asset in sources.assets(job.source)]
    tables = layout.create_encoder(layout.create_lake(str(folder)), spec, None)
    with lease.hold(tables, "bench", 0) as held:
        waiting = groups.roll_forward(tables, held)
        committer = Committer(tables, held, known.load(tables, waiting.rows, known.passing(())), waiting)
        lake = tables.lake
        run = actors.Run(held.run_id, lake.uri, lake.id, spec, job.encoder, job.unit_tokens, job.batch_tokens)
        seconds: dict[str, float] = {"encode": 0.0, "write": 0.0, "commit": 0.0}
        start, before = 0.0, 0
        for number, receipt in enumerate(stream.receipts(plan, run, job.cluster)):
            committer.add(receipt)
            if number < WARM_UP:
                start, before = time.perf_counter(), committer.counts.encoded
                continue
            for step, spent in receipt["seconds"][0].as_py():
                seconds[step] = seconds.get(step, 0.0) + spent
        last = time.perf_counter()
        committer.commit()
    end = time.perf_counter()
    seconds["commit"] = end - last
    return {"segments": committer.counts.encoded - before, "seconds": end - start, **seconds}


def bare(job: settings.Ingest, threads: int) -> dict[str, float]:
    """The model alone over the same units, packed by the same code."""
    spec, folder = checkpoint.resolve(job.encoder, job)
    run = actors.Run("bench", "", "", spec, job.encoder, job.unit_tokens, job.batch_tokens, threads)
    plan = [Planned(asset) for asset in sources.assets(job.source)]
    cut = [unit for block in stream.blocks(plan, job.unit_tokens)
           for unit in units.units(map(actors.planned, block.to_pylist()), actors.policy(run))]  # fmt: skip
    segments = [units.segments(unit) for unit in cut]
    model = encoder.load(spec, folder, threads, job.batch_tokens)
    for unit in segments[:WARM_UP]:
        model.encode(unit)
    start = time.perf_counter()
    for unit in segments[WARM_UP:]:
        model.encode(unit)
    seconds = time.perf_counter() - start
    tokenizer = Tokenizer(spec, folder)
    tokens = sum(len(tokenizer.framed(item.text)[0]) for unit in segments[WARM_UP:] for item in unit)
    return {
        "segments": sum(map(len, segments[WARM_UP:])),
        "seconds": seconds,
        "macs": tokens * linear_parameters(model._model._model) / seconds,
        "sgemm": sgemm(threads),
    }


def linear_parameters(model: torch.nn.Module) -> int:
    """Weights of the linear layers: multiply-adds a token, attention's own products apart."""
    return sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, torch.nn.Linear))


def sgemm(threads: int) -> float:
    """Multiply-adds a second of a float32 matrix product in this process, the best of five."""
    torch.set_num_threads(threads)
    left, right = torch.randn(2048, 2048), torch.randn(2048, 2048)
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        left @ right
        best = max(best, 2048**3 / (time.perf_counter() - start))
    return best


def report(pairs: list[tuple[dict[str, float], dict[str, float]]], threads: int) -> None:
    """Medians over the repeats, and the spread of the ratio."""
    rates = [(a["segments"] / a["seconds"], b["segments"] / b["seconds"]) for a, b in pairs]
    ratios = [a / b for a, b in rates]
    print(f"{len(pairs)} pairs, {int(pairs[0][0]['segments'])} segments each, {threads} encoder thread(s)")
    print(f"pipeline   {statistics.median(a for a, _ in rates):8.1f} segments/s")
    print(f"bare model {statistics.median(b for _, b in rates):8.1f} segments/s")
    print(f"ratio      {statistics.median(ratios):8.3f}  ({min(ratios):.3f} ... {max(ratios):.3f})")
    macs, roof = (statistics.median(b[name] for _, b in pairs) / 1e9 for name in ("macs", "sgemm"))
    print(f"limit      {roof:8.1f} GMAC/s of sgemm, probed here")
    print(f"share      {macs / roof:8.3f}  ({macs:.1f} GMAC/s in the bare model's linear layers)")
    total = statistics.median(a["seconds"] for a, _ in pairs)
    for step in ("encode", "write", "commit"):
        share = statistics.median(a[step] / a["seconds"] for a, _ in pairs)
        print(f"  {step:<8} {100 * share:5.1f} % of the pipeline's {total:.1f} s")
    idle = statistics.median(1 - (a["encode"] + a["write"] + a["commit"]) / a["seconds"] for a, _ in pairs)
    print(f"  {'waiting':<8} {100 * idle:5.1f} %: the encoder between units, for decode or for Ray")


if __name__ == "__main__":
    main()
