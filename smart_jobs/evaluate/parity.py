"""The eight measures of MMEB-V2 for one query: as its evaluators compute them, and as they should be."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np

from smart_jobs.evaluate.tasks import Name

Parity = Literal["reference", "corrected"]

CUTS = (1, 5, 10)
DEPTH = CUTS[-1]
KINDS = ("hit", "ndcg_linear", "ndcg_exponential", "precision", "recall", "f1", "map", "mrr")

MEASURES = tuple(f"{kind}@{cut}" for kind in KINDS for cut in CUTS)
"""In the order in which the evaluators write them."""

DISCOUNTS = tuple(float(np.log2(rank + 1)) for rank in range(1, DEPTH + 1))


def gains(labels: Sequence[Name], grades: Sequence[float] | None, parity: Parity) -> dict[Name, float]:
    """The grade of each relevant name, 1 where there are no `grades`.

    reference: the evaluators make the labels distinct by `list(set(labels))` and pair them with the grades only then,
    in the order in which CPython's set of ints happens to be; an order of strings would differ from process to process.
    Their nDCG of graded tasks is made of that. corrected: label and grade as they stand side by side, of a label given
    twice the higher one; what has a grade of 0 or less is not relevant.

    Raises ValueError where there is not one grade for each label: after the set in reference, before it in corrected.
    """
    if parity == "reference":
        distinct = list(set(labels))
        return dict(zip(distinct, _each(distinct, grades), strict=True))
    best: dict[Name, float] = {}
    for label, grade in zip(labels, _each(labels, grades), strict=True):
        if grade > 0:
            best[label] = max(grade, best.get(label, grade))
    return best


def _each(labels: Sequence[Name], grades: Sequence[float] | None) -> Sequence[float]:
    if grades is None:
        return [1] * len(labels)
    if len(grades) != len(labels):
        raise ValueError(f"{len(grades)} grades for {len(labels)} labels")
    return grades


def dcg(grades: Iterable[float]) -> float:
    """Σ grade / log2(rank + 1), ranks from 1, added up in their order; at most `DEPTH` grades."""
    total = 0.0
    for grade, discount in zip(grades, DISCOUNTS, strict=False):
        total += grade / discount
    return total


def exponential(grade: float) -> float:
    """The gain 2^grade - 1 of a grade."""
    return float(2**grade - 1)


def ideal(relevant: Mapping[Name, float], cut: int) -> list[float]:
    """The grades of the first `cut` places of the best order there is."""
    return sorted(relevant.values(), reverse=True)[:cut]


def measures(
    ranked: Sequence[Name], labels: Sequence[Name], grades: Sequence[float] | None, parity: Parity
) -> dict[str, float]:
    """`MEASURES` of one query, each as a fraction; the definitions are those of MMEB-V2's evaluators.

    `ranked` are the candidates' names, best first, ten or more where there are as many; `labels` the relevant ones,
    and `grades` theirs, None where they are all worth the same. precision@k divides by k however few candidates there
    are, map@k by the smaller of k and the number of labels.

    reference: equal to the evaluators to the last digit. Without labels recall is 1 and all else 0. A name that comes
    twice in `ranked` takes two places; nDCG and map count it twice, and may exceed 1.

    corrected: grades are paired rightly (`gains`); a name counts at its first place and those behind it move up, since
    it is one candidate; without labels recall is 0 too, as nothing was found.
    """
    relevant = gains(labels, grades, parity)
    top = list(ranked if parity == "reference" else dict.fromkeys(ranked))[:DEPTH]
    by_cut = [_at(top[:cut], relevant, cut, parity) for cut in CUTS]
    return {f"{kind}@{cut}": found[kind] for kind in KINDS for cut, found in zip(CUTS, by_cut, strict=True)}


def _at(top: Sequence[Name], relevant: Mapping[Name, float], cut: int, parity: Parity) -> dict[str, float]:
    hits = len(set(top) & relevant.keys())
    precision = hits / cut
    recall = hits / len(relevant) if relevant else float(parity == "reference")
    ranks = [rank for rank, name in enumerate(top, start=1) if name in relevant]
    both = precision + recall
    return {
        "hit": float(hits > 0),
        "ndcg_linear": _ndcg([relevant.get(name, 0) for name in top], ideal(relevant, cut)),
        "ndcg_exponential": _ndcg(
            [exponential(relevant.get(name, 0)) for name in top], [exponential(grade) for grade in ideal(relevant, cut)]
        ),
        "precision": precision,
        "recall": recall,
        "f1": 2 * (precision * recall) / both if relevant and both else 0.0,
        "map": _precisions(ranks) / min(len(relevant), cut) if ranks else 0.0,
        "mrr": 1 / ranks[0] if ranks else 0.0,
    }


def _ndcg(found: Sequence[float], best: Sequence[float]) -> float:
    most = dcg(best)
    return dcg(found) / most if most > 0 else 0.0


def _precisions(ranks: Sequence[int]) -> float:
    total = 0.0
    for hits, rank in enumerate(ranks, start=1):
        total += hits / rank
    return total
