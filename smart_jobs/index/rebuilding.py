"""When an index is built again rather than changed."""

from smart_jobs.index import build
from smart_jobs.index.build import Plan
from smart_jobs.index.difference import Difference
from smart_jobs.index.manifest import Manifest, Training

CHANGED = 0.3
"""Vectors added and removed since training, as a share of those it was trained for, above which a rebuild pays."""

DRIFT = 1.25
"""How much farther than the old the new vectors may lie from the centroids of their lists, as a ratio.

Vectors that lists were not trained on lie a little farther anyway: 1.13 times where nothing clusters (docs/log.md).
"""

ENOUGH = 100
"""Added vectors below which their mean distance says nothing."""


def must(made: Manifest, plan: Plan, factory: str | None, difference: Difference | None) -> str | None:
    """Why the index cannot be changed into what is wanted; None where it can. `factory` is the user's."""
    if difference is None:
        return f"version {made.built_from.version} of pooled, which it was built from, cannot be read any more"
    if made.training is None:
        return "it does not say what it was trained on: an older release made it"
    if factory is not None and not _asked(made.factory, plan.factory, factory):
        return f"it is {made.factory}, and {plan.factory} is asked for"
    if not build.changeable(made.factory):
        return f"vectors cannot be taken out of {made.factory}"
    return None


def _asked(made: str, planned: str, factory: str) -> bool:
    """Whether an index is what the user asks for: the number of lists counts only where he gives one."""
    return made == planned or (factory.startswith("IVF,") and made.partition(",")[2] == factory.partition(",")[2])


def pays(made: Manifest, plan: Plan, training: Training) -> str | None:
    """Why building again would find more or faster; `training` has what is about to be added and removed."""
    if made.factory == "Flat" or plan.factory == "Flat":
        return None if made.factory == plan.factory else f"{plan.factory} instead of {made.factory}: {plan.why}"
    share = (training.added + training.removed) / max(training.vectors, 1)
    if share > CHANGED:
        return f"{share:.0%} of its vectors came or went since it was trained, more than {CHANGED:.0%}"
    if training.misfit and training.added_misfit and training.added >= ENOUGH:
        ratio = training.added_misfit / training.misfit
        if ratio > DRIFT:
            return f"new vectors lie {ratio:.2f} times as far from their lists as the old, more than {DRIFT}"
    return None


def since(training: Training, difference: Difference, misfit: float | None) -> Training:
    """`training` with what a difference adds and removes; `misfit` is that of the added, None for none."""
    added = training.added + len(difference.added)
    before = (training.added_misfit or 0.0) * training.added
    mean = None if misfit is None else (before + misfit * len(difference.added)) / added
    return training.model_copy(
        update={
            "added": added,
            "removed": training.removed + len(difference.removed),
            "added_misfit": training.added_misfit if mean is None else mean,
        }
    )
