"""The plan of a batch search: it holds for every later run, and what differs from it is said."""

import pytest

from smart_jobs.flow import batch_plan
from smart_jobs.flow.batch_plan import Plan
from smart_jobs.index.manifest import Pin
from smart_jobs.records import UsageError

PLAN = Plan(
    lake_id="l", encoder="tiny-0123456789ab",
    versions={"pooled": Pin(table_id="p", version=3), "hidden_states": Pin(table_id="h", version=2)},
    exhaustive=False, index_id="i", candidates=None, k=10, lambda_pooled=1.0, lambda_late=1.0, where=None, fresh=False,
    queries=25, digest="d", part_queries=10, threads=2,
)  # fmt: skip


OTHERS = [
    ({"k": 5}, "k=10 there, k=5 now"),
    ({"where": "page = 1"}, "where=None there, where=page = 1 now"),
    ({"candidates": 50}, "candidates=None there, candidates=50 now"),
    ({"lambda_late": 0.5}, "lambda_late=1.0 there, lambda_late=0.5 now"),
    ({"lambda_pooled": 0.5}, "lambda_pooled=1.0 there"),
    ({"exhaustive": True, "index_id": None}, "exhaustive=False there, exhaustive=True now"),
    ({"fresh": True}, "fresh=False there, fresh=True now"),
    ({"part_queries": 5}, "part_queries=10 there, part_queries=5 now"),
    ({"digest": "e"}, "the queries are not the same"),
    ({"queries": 24, "digest": "e"}, "queries=25 there, queries=24 now; the queries are not the same"),
    ({"encoder": "other"}, "encoder=tiny-0123456789ab there, encoder=other now"),
    ({"lake_id": "m"}, "the lake is not the same"),
]


def test_a_plan_is_written_once_and_read_back(tmp_path):
    out = str(tmp_path / "new")
    assert batch_plan.read(out) is None
    assert batch_plan.pin(out, PLAN) == PLAN
    assert batch_plan.read(out) == PLAN
    assert (PLAN.parts, [PLAN.size(number) for number in range(3)]) == (3, [10, 10, 5])


def test_of_two_runs_that_begin_at_once_one_plans_for_both(tmp_path):
    """The other has seen a newer table, and takes over what the first has pinned."""
    later = PLAN.model_copy(update={"versions": {**PLAN.versions, "pooled": Pin(table_id="p", version=4)}})
    batch_plan.pin(str(tmp_path), PLAN)
    assert batch_plan.pin(str(tmp_path), later) == PLAN


@pytest.mark.parametrize(("change", "said"), OTHERS)
def test_another_search_is_refused_with_what_differs(tmp_path, change, said):
    out = str(tmp_path)
    batch_plan.pin(out, PLAN)
    before = (tmp_path / batch_plan.PLAN).read_bytes()
    with pytest.raises(UsageError) as error:
        batch_plan.pin(out, PLAN.model_copy(update=change))
    assert str(error.value).startswith(f"out={out} has the answers to another search: {said}")
    assert "\n" not in str(error.value)
    assert (tmp_path / batch_plan.PLAN).read_bytes() == before


def test_nothing_that_decides_the_answers_is_left_out_of_the_comparison():
    """Whoever adds a field adds a line above, or names it among the pins."""
    compared = {name for change, _ in OTHERS for name in change}
    assert compared | {*batch_plan.PINS} == {*Plan.model_fields}


def test_a_folder_with_anything_else_in_it_is_refused(tmp_path):
    (tmp_path / "part-00000.parquet").write_bytes(b"of someone else")
    with pytest.raises(UsageError, match=r"part-00000\.parquet is there, and no _search\.json"):
        batch_plan.refuse(str(tmp_path), batch_plan.read(str(tmp_path)), PLAN)
    (tmp_path / batch_plan.PLAN).write_text('{"k": 3}')
    with pytest.raises(UsageError, match="not a plan of this release"):
        batch_plan.read(str(tmp_path))


def test_the_parts_that_are_there(tmp_path):
    assert batch_plan.done(str(tmp_path / "nowhere"), PLAN) == set()
    for number in (0, 2, 3):
        (tmp_path / f"part-{number:05}.parquet").write_bytes(b"")
    (tmp_path / "failures-00001.parquet").write_bytes(b"")
    assert batch_plan.done(str(tmp_path), PLAN) == {0, 2}
