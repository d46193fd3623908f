"""When an index is changed, when it has to be built again, and when that merely pays."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_jobs.index import build, rebuilding
from smart_jobs.index.difference import Difference
from smart_jobs.index.manifest import Manifest, Pin, Training

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def trained(**values):
    return Training(**{"at": NOW, "version": 1, "vectors": 1_000, "rows": 1_000, "misfit": 0.5, **values})


def made(factory="IVF16,PQ16x4np", training=None):
    return Manifest(
        index_id="i", encoder="e", spec="s", factory=factory, nprobe=4, vectors=1_000, dim=16,
        built_from=Pin(table_id="t", version=1), hidden_states=Pin(table_id="h", version=1), recall_at_10=1.0,
        recall_queries=1, bytes=1, files={}, created_at=NOW, faiss_version="", train_seconds=0, why="",
        training=training or trained(),
    )  # fmt: skip


def changed(added, removed):
    return Difference(np.arange(added), np.arange(removed), ())


PLAN = build.plan(1_200, 16)


def test_an_index_that_can_be_changed_is():
    assert rebuilding.must(made(), PLAN, None, changed(5, 5)) is None


@pytest.mark.parametrize(
    ("index", "factory", "difference", "says"),
    [
        (made(), None, None, "version 1 of pooled, which it was built from, cannot be read any more"),
        (made().model_copy(update={"training": None}), None, changed(1, 0), "an older release made it"),
        (made(), "IVF8,SQ8", changed(1, 0), "it is IVF16,PQ16x4np, and IVF8,SQ8 is asked for"),
        (made(), "IVF,SQ8", changed(1, 0), "IVF16,SQ8 is asked for"),
        (made("IVF8,SQ8"), "IVF16,SQ8", changed(1, 0), "it is IVF8,SQ8, and IVF16,SQ8"),
        (made("IVF16,PQ8x4fs"), None, changed(1, 0), "vectors cannot be taken out of IVF16,PQ8x4fs"),
    ],
)
def test_why_it_has_to_be_built_again(index, factory, difference, says):
    assert says in rebuilding.must(index, build.plan(1_200, 16, factory), factory, difference)


def test_the_number_of_lists_that_was_left_open_may_differ_from_todays_plan():
    plan = build.plan(50_000, 16, "IVF,SQ8")
    assert plan.factory != "IVF16,SQ8"
    assert rebuilding.must(made("IVF16,SQ8"), plan, "IVF,SQ8", changed(1, 0)) is None


@pytest.mark.parametrize(("added", "removed", "pays"), [(300, 0, False), (0, 300, False), (151, 150, True)])
def test_a_rebuild_pays_where_much_came_or_went(added, removed, pays):
    reason = rebuilding.pays(made(), PLAN, trained(added=added, removed=removed))
    assert (reason is not None) == pays
    assert reason is None or "30% of its vectors came or went" in reason


@pytest.mark.parametrize(
    ("misfit", "added", "pays"), [(0.62, 200, False), (0.63, 200, True), (0.9, 99, False), (None, 0, False)]
)
def test_a_rebuild_pays_where_new_vectors_lie_far_from_the_lists(misfit, added, pays):
    reason = rebuilding.pays(made(), PLAN, trained(added=added, added_misfit=misfit))
    assert (reason is not None) == pays
    assert reason is None or "1.26 times as far" in reason


def test_an_exact_index_is_built_again_once_there_are_enough_to_train():
    many = trained(added=900, removed=900, misfit=None, vectors=900)
    assert rebuilding.pays(made("Flat", many), build.plan(999, 16), many) is None
    assert rebuilding.pays(made("Flat", many), PLAN, many).startswith("IVF16,PQ16x4np instead of Flat: IVF-PQ: 1,200")
    assert "Flat instead of IVF16" in rebuilding.pays(made(), build.plan(900, 16), trained())


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.floats(0.1, 2)), max_size=6))
def test_what_came_and_went_adds_up_and_the_misfit_is_the_mean_over_all(nights):
    training = trained()
    for added, removed, misfit in nights:
        training = rebuilding.since(training, changed(added, removed), misfit if added else None)
    assert training.added == sum(added for added, _, _ in nights)
    assert training.removed == sum(removed for _, removed, _ in nights)
    if training.added:
        mean = sum(added * misfit for added, _, misfit in nights) / training.added
        assert training.added_misfit == pytest.approx(mean)
    else:
        assert training.added_misfit is None
