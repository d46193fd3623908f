"""Pooled, late and hybrid on SciFact and on XQuAD in four languages and across them, and how the weights matter.

    python -m tests.bench.languages [--lake DIR] [--sets scifact xquad/en xquad/de-en …]

`xquad/de-en` are the German questions over the English paragraphs, which have the same ids. Each set is evaluated with
encoder=minilm, codec=float32 and sweep.lambda_late=0:2:0.1, λ_pooled = 1, in one lake: what sets share is encoded once.
Prints nDCG@10 in points with the 95 % interval of a bootstrap over the queries, the difference of late and of hybrid
from pooled with a paired one, and the curve over λ_late.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from smart_jobs import config, settings
from smart_jobs.evaluate import intervals
from smart_jobs.evaluate.intervals import Interval
from smart_jobs.flow import evaluation, evaluations
from tests.fixtures import FIXTURES

LANGUAGES = ("en", "de", "zh", "ar")
OWN = [f"xquad/{name}" for name in LANGUAGES]
ACROSS = [f"xquad/{asked}-{among}" for asked in LANGUAGES for among in LANGUAGES if (asked == "en") != (among == "en")]
MEASURE = "ndcg@10"


def main() -> None:
    """A line for each set, then the curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lake", help="folder of the lake; a temporary one unless given")
    parser.add_argument("--sets", nargs="+", default=["scifact", *OWN, *ACROSS])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake, curves = options.lake or f"{folder}/lake", {}
        print(f"{'set':<12} {'pooled':<24} {'late':<24} {'hybrid':<24} {'late - pooled':<25} hybrid - pooled")
        for name in options.sets:
            found = evaluated(placed(name, Path(folder)), lake)
            curves[name] = found["sweep"]["points"]
            print(line(name, lake, found["run_id"]), flush=True)
    print(f"\n{'λ_late':<12} " + " ".join(f"{point['lambda_late']:5.1f}" for point in next(iter(curves.values()))))
    for name, points in curves.items():
        print(f"{name:<12} " + " ".join(f"{100 * point['mean']:5.2f}" for point in points))


def placed(name: str, folder: Path) -> Path:
    """The folder of a set in BEIR's layout; one across languages is put together of links."""
    retrieval, (group, _, pair) = FIXTURES / "retrieval", name.partition("/")
    asked, _, among = pair.partition("-")
    if not among:
        return retrieval / name
    made = folder / name
    made.mkdir(parents=True)
    for part, language in (("queries.jsonl", asked), ("corpus.jsonl", among), ("qrels", among)):
        (made / part).symlink_to((retrieval / group / language / part).resolve())
    return made


def evaluated(folder: Path, lake: str) -> dict[str, Any]:
    """The JSON object of `smart-jobs evaluate`."""
    words = ["suite=beir", f"suite.path={folder}", f"lake={lake}", "codec=float32", "sweep.lambda_late=0:2:0.1"]
    return evaluation.run(config.load(settings.Evaluate, "evaluate", words))


def line(name: str, lake: str, run_id: str) -> str:
    """The means of a set and their differences, with intervals."""
    side = evaluations.find(lake, "run", run_id)
    [task] = side.measured()
    measured = evaluations.values(side, {task: MEASURE})[task]
    columns = {
        scoring: np.array([value for _, value in sorted(measured[scoring].items())])
        for scoring in ("pooled", "late", "hybrid")
    }
    means = [points(intervals.mean([values])) for values in columns.values()]
    gains = [
        points(intervals.difference([columns["pooled"]], [columns[scoring]]).interval, "+")
        for scoring in ("late", "hybrid")
    ]
    return f"{name:<12} " + " ".join(f"{part:<24}" for part in (*means, *gains))


def points(interval: Interval, sign: str = "") -> str:
    """In points, with the ends of the interval."""
    ends = (interval.mean, interval.low or 0.0, interval.high or 0.0)
    return "{} ({} ... {})".format(*(f"{100 * value:{sign}.2f}" for value in ends))


if __name__ == "__main__":
    main()
