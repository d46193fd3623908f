"""The measures of `parity` for all queries of a task at once: judged once, measured for each scoring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from smart_jobs.evaluate import parity
from smart_jobs.evaluate.parity import CUTS, DEPTH, MEASURES, Parity
from smart_jobs.evaluate.tasks import Name

CORRECTED = ":corrected"
"""What is behind the name of a measure as it should be, where the reference's differs."""

RANKS = np.arange(1, DEPTH + 1)
DISCOUNTS = np.array(parity.DISCOUNTS)
NOTHING = -1
"""The number where a ranking has no candidate any more."""


@dataclass(frozen=True, slots=True)
class Judgements:
    """What is relevant to each of q queries. Names are numbered 0 … `width` - 1.

    `keys` (m,) int64 ascending are query · width + name of every relevant name that has a number, `grades` (m, 2) its
    linear and its exponential gain. `counts` (q,) are all relevant names, numbered or not, and `ideals` (2, q, cuts)
    the DCG of the best order, linear and exponential.
    """

    keys: np.ndarray
    grades: np.ndarray
    counts: np.ndarray
    ideals: np.ndarray
    width: int
    parity: Parity


def judge(
    labels: Sequence[Sequence[Name]],
    grades: Sequence[Sequence[float] | None],
    numbers: Mapping[Name, int],
    kind: Parity,
) -> Judgements:
    """The judgements of a task, query by query, as `parity.gains` reads them.

    `numbers` are the places of the candidates' names, each name once, in whatever order; a label that is not among
    them counts as relevant and is never found. Raises ValueError as `parity.gains` does.
    """
    relevant = [parity.gains(row, grade, kind) for row, grade in zip(labels, grades, strict=True)]
    width = max(numbers.values(), default=-1) + 1
    found = sorted(
        (query * width + numbers[name], grade, parity.exponential(grade))
        for query, row in enumerate(relevant)
        for name, grade in row.items()
        if name in numbers
    )
    table = np.array(found, np.float64).reshape(-1, 3)
    keys = np.array([key for key, _, _ in found], np.int64)
    counts = np.array([len(row) for row in relevant], np.int64)
    return Judgements(keys, table[:, 1:], counts, _ideals(relevant), width, kind)


def _ideals(relevant: Sequence[Mapping[Name, float]]) -> np.ndarray:
    best = np.zeros((2, len(relevant), len(CUTS)))
    for query, row in enumerate(relevant):
        for at, cut in enumerate(CUTS):
            order = parity.ideal(row, cut)
            best[:, query, at] = parity.dcg(order), parity.dcg([parity.exponential(grade) for grade in order])
    return best


def measure(ranked: np.ndarray, judged: Judgements) -> np.ndarray:
    """(q, 24): `parity.MEASURES` of every query, to the last digit those of `parity.measures`.

    `ranked` (q, depth) int64 are the numbers of the candidates' names, best first, `NOTHING` behind the last. Ten are
    enough, unless names may come twice and `parity` is corrected: then as many as hold ten different ones.
    """
    top = _top(ranked, judged.parity)
    places, relevant = _found(top, judged)
    gains = (
        np.where(relevant[:, :, None], judged.grades[places], 0.0) if len(judged.keys) else np.zeros((*top.shape, 2))
    )
    ndcg = [_ndcg(gains[:, :, form], judged.ideals[form]) for form in (0, 1)]
    hits = np.cumsum(relevant & ~_repeated(top), axis=1)[:, _LAST]
    precision = hits / np.array(CUTS)
    empty = (judged.counts == 0)[:, None]
    recall = np.where(empty, float(judged.parity == "reference"), hits / np.maximum(judged.counts, 1)[:, None])
    columns = [(hits > 0).astype(float), *ndcg, precision, recall, _f1(precision, recall)]
    columns += [_average(relevant, judged.counts), _reciprocal(relevant)]
    return np.concatenate(columns, axis=1)


_LAST = np.array(CUTS) - 1


def _top(ranked: np.ndarray, kind: Parity) -> np.ndarray:
    """(q, 10): the first ten names, the first ten different ones where a name counts once."""
    if kind == "corrected" and ranked.shape[1]:
        repeated = _repeated(ranked)
        order = np.argsort(repeated, axis=1, kind="stable")
        ranked = np.take_along_axis(np.where(repeated, NOTHING, ranked), order, axis=1)
    top = np.full((len(ranked), DEPTH), NOTHING, np.int64)
    depth = min(DEPTH, ranked.shape[1])
    top[:, :depth] = ranked[:, :depth]
    return top


def _repeated(ranked: np.ndarray) -> np.ndarray:
    """(q, depth) bool: where the same name stands further up too."""
    order = np.argsort(ranked, axis=1, kind="stable")
    names = np.take_along_axis(ranked, order, axis=1)
    again = np.zeros(ranked.shape, bool)
    np.put_along_axis(again, order[:, 1:], names[:, 1:] == names[:, :-1], axis=1)
    return again


def _found(top: np.ndarray, judged: Judgements) -> tuple[np.ndarray, np.ndarray]:
    """For each place its row in the judgements, some row where it is not relevant, and whether it is."""
    wanted = np.arange(len(top))[:, None] * judged.width + top
    places = np.minimum(np.searchsorted(judged.keys, wanted), max(len(judged.keys) - 1, 0))
    relevant = judged.keys[places] == wanted if len(judged.keys) else np.zeros(top.shape, bool)
    return places, relevant & (top != NOTHING)


def _ndcg(gains: np.ndarray, ideal: np.ndarray) -> np.ndarray:
    found = np.cumsum(gains / DISCOUNTS, axis=1)[:, _LAST]
    return np.asarray(np.divide(found, ideal, out=np.zeros_like(found), where=ideal > 0))


def _f1(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    sums = precision + recall
    return np.asarray(np.divide(2 * (precision * recall), sums, out=np.zeros_like(sums), where=precision > 0))


def _average(relevant: np.ndarray, counts: np.ndarray) -> np.ndarray:
    precisions = np.where(relevant, np.cumsum(relevant, axis=1) / RANKS, 0.0)
    most = np.minimum(np.maximum(counts, 1)[:, None], np.array(CUTS))
    return np.asarray(np.cumsum(precisions, axis=1)[:, _LAST] / most)


def _reciprocal(relevant: np.ndarray) -> np.ndarray:
    first = np.where(relevant.any(axis=1), relevant.argmax(axis=1) + 1, DEPTH + 1)[:, None]
    return np.where(first <= np.array(CUTS), 1 / first, 0.0)


def means(values: np.ndarray) -> dict[str, float]:
    """Each measure averaged over the queries, as the evaluators average: (q, 24) -> by name. Raises where q is 0."""
    if not len(values):
        raise ValueError("there is no query to average over")
    return {name: float(np.mean(np.ascontiguousarray(column))) for name, column in zip(MEASURES, values.T, strict=True)}


def both(reference: np.ndarray, corrected: np.ndarray) -> dict[str, np.ndarray]:
    """What is stored of one task and scoring, by name (q,): the reference's measures, and the corrected that differ.

    A corrected measure is named `ndcg_linear@5:corrected`, and is there, for every query, where that of any query
    differs from the reference's. Where it is not there the two are equal: `value` reads it so.
    """
    named = dict(zip(MEASURES, reference.T, strict=True))
    right = dict(zip(MEASURES, corrected.T, strict=True))
    return named | {
        f"{name}{CORRECTED}": values for name, values in right.items() if not np.array_equal(values, named[name])
    }


def value(stored: Mapping[str, float], name: str) -> float | None:
    """A measure by its name from what is stored of it; a corrected one that is not there is the reference's."""
    return stored.get(name, stored.get(name.removesuffix(CORRECTED)))
