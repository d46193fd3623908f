"""How many candidates of stage one the two-stage hybrid needs to be as good as the exhaustive one, and what it saves.

    python -m tests.bench.two_stage [--lake DIR] [--sets scifact xquad/en]

Sets as `tests.bench.codecs` encodes and keeps them, λ = 1, states in float32. Stage one is the index that
`smart-jobs index` would build over the pooled vectors, and beside it the exact order by pooled score. Printed are
nDCG@10 and its difference from the exhaustive hybrid with a 95 % interval of a paired bootstrap over the queries, in
points; the share of the exact hybrid's best ten that are candidates; and the share of the states that MaxSim looks at.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from smart_jobs.index import build
from smart_jobs.search import ann, hybrid
from tests.bench import codecs
from tests.bench.codecs import Encoded

CANDIDATES = (10, 20, 50, 100, 200, 400)
TOP = 10


def main() -> None:
    """Print a table for every set and kind of stage one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lake", help="folder of the lakes; a temporary one unless given")
    parser.add_argument("--sets", nargs="+", default=["scifact"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.sets:
            lake = Path(options.lake or folder) / name.replace("/", "-")
            found = codecs.encoded(name, lake)
            exact = found.pooled + codecs.late_scores(found.queries, found.documents, "float32")
            print(f"\n{name}: {len(found.names)} queries x {len(found.documents):,} segments; "
                  f"exhaustive hybrid {100 * codecs.ndcg(found, exact).mean():.2f}")  # fmt: skip
            table("exact pooled", found, exact, np.argsort(-found.pooled, axis=1, kind="stable"))
            title, order = indexed(found)
            table(title, found, exact, order)


def indexed(found: Encoded) -> tuple[str, np.ndarray]:
    """The default index's name, and its candidates as columns of the scores, best first."""
    snapshot, ids = found.corpus.snapshot, found.corpus.ids
    vectors = hybrid.pooled_vectors(snapshot, ids)
    plan = build.plan(len(ids), vectors.shape[1])
    index = build.build(np.arange(len(ids)), vectors, plan)
    rows, _ = ann.candidates(index, found.vectors, min(max(CANDIDATES), len(ids)), plan.nprobe)
    return f"{plan.factory}, nprobe {plan.nprobe}", rows


def table(title: str, found: Encoded, exact: np.ndarray, order: np.ndarray) -> None:
    """A line for each number of candidates, of those that `order` (q, m) puts first."""
    print(f"{title}\n{'candidates':>10}  {'nDCG@10':>7}  {'difference':<24}  best ten  MaxSim")
    whole = codecs.ndcg(found, exact)
    lengths = np.array([len(rows) for rows in found.documents])
    for count in CANDIDATES:
        mask = passed(order[:, :count], exact.shape[1])
        measured = codecs.ndcg(found, np.where(mask, exact, np.float32(-np.inf)))
        middle, low, high = codecs.difference(measured, whole)
        share = (mask @ lengths).mean() / lengths.sum()
        print(f"{count:>10}  {100 * measured.mean():7.2f}  {f'{middle:+.2f} ({low:+.2f} ... {high:+.2f})':<24}  "
              f"{kept(exact, mask):8.3f}  {100 * share:5.2f} %", flush=True)  # fmt: skip


def passed(rows: np.ndarray, count: int) -> np.ndarray:
    """(q, n) bool: which of `count` columns are among `rows` (q, c), -1 for none."""
    mask = np.zeros((len(rows), count + 1), bool)
    np.put_along_axis(mask, rows, True, axis=1)  # -1 is the column too many
    return mask[:, :count]


def kept(exact: np.ndarray, mask: np.ndarray) -> float:
    """The share of each row's best ten that are in the mask."""
    best = np.argsort(-exact, axis=1, kind="stable")[:, :TOP]
    return float(np.take_along_axis(mask, best, axis=1).mean())


if __name__ == "__main__":
    main()
