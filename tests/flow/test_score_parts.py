"""Parts of a task on a real Ray: the same to the bit as here, also where a worker dies."""

import os
import signal
import threading

import numpy as np
import pytest
import scoring_making as making
from jobs import actor_processes, wait_for

from smart_jobs.evaluate import cuts, parts
from smart_jobs.evaluate.cuts import Pairs, Sizes
from smart_jobs.evaluate.views import AS_STORED, View
from smart_jobs.flow import score_parts
from smart_jobs.flow.score_parts import Scorer
from smart_jobs.keys import Cluster
from smart_jobs.records import JobError

QUERIES = tuple(f"query {i}" for i in range(6))
DOCUMENTS = tuple(f"document {i}" for i in range(30))
VIEWS = (AS_STORED, View("content", "text", "binary"))


@pytest.fixture(scope="module", params=["int8", "float32"])
def lake(request, tmp_path_factory):
    return making.make(tmp_path_factory.mktemp(request.param), QUERIES, DOCUMENTS, request.param)


def sides(lake):
    return lake.located(lake.queries, "query"), lake.located(lake.documents, "document")


def here(lake, pairs, views=VIEWS):
    """In one part, in this process."""
    [cut] = cuts.cut(*sides(lake), pairs, views)
    return parts.score(cut.part)


OWN = Pairs.some(
    [np.array([0, 3, 7]), np.arange(30), np.array([], int), np.array([29]), np.arange(0, 30, 2), np.arange(5)]
)


@pytest.mark.ray
@pytest.mark.parametrize("pairs", [Pairs.all(6, 30), OWN], ids=["all", "own"])
def test_parts_on_ray_equal_one_part_here_to_the_bit(lake, cluster, pairs):
    sizes = Sizes(queries=3, documents=8)
    assert len(list(cuts.cut(*sides(lake), pairs, sizes=sizes))) > 6
    with Scorer(Cluster(), [lake.tables.lake], sizes) as scorer:
        found = scorer.score(*sides(lake), pairs, VIEWS)
        assert scorer._connected
    wanted = here(lake, pairs)
    np.testing.assert_array_equal(found.pooled, wanted.pooled)
    np.testing.assert_array_equal(found.late, wanted.late)


@pytest.mark.ray
def test_what_a_part_complains_of_is_one_line_here(tmp_path, cluster):
    lake = making.make(tmp_path, QUERIES, DOCUMENTS)
    with (
        Scorer(Cluster(), [lake.tables.lake], Sizes(documents=8)) as scorer,
        pytest.raises(JobError, match=r"^codec=bf16: .* stored as int8") as raised,
    ):
        scorer.score(*sides(lake), Pairs.all(6, 30), [View(codec="bf16")])
    assert "\n" not in str(raised.value)


@pytest.mark.ray
def test_a_worker_that_is_killed_costs_its_parts_time(tmp_path, cluster):
    documents = tuple(f"document {i}" for i in range(900))
    large = making.make(tmp_path, QUERIES, documents, dim=64, per_file=300, tokens=(60, 90))
    killed = []

    def kill_one():
        wait_for(lambda: actor_processes("score"))
        pid = actor_processes("score")[0]
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    killer = threading.Thread(target=kill_one)
    killer.start()
    pairs = Pairs.all(6, 900)
    with Scorer(Cluster(), [large.tables.lake], Sizes(documents=20)) as scorer:
        found = scorer.score(*sides(large), pairs, [AS_STORED])
    killer.join()
    assert killed
    np.testing.assert_array_equal(found.late[0], here(large, pairs, [AS_STORED]).late[0])


def test_a_little_is_scored_here(lake, monkeypatch):
    """Where no Ray runs yet and there is little to do none is started."""
    monkeypatch.setattr(score_parts, "_running", lambda: False)
    with Scorer(Cluster(), [], Sizes(documents=8)) as scorer:
        found = scorer.score(*sides(lake), Pairs.all(6, 30), VIEWS)
        assert not scorer._connected
    np.testing.assert_array_equal(found.late, here(lake, Pairs.all(6, 30)).late)


def test_nothing_to_score_gives_no_scores(lake):
    queries, documents = sides(lake)
    nobody = queries.take(np.empty(0, np.int64))
    with Scorer(Cluster(), []) as scorer:
        assert scorer.score(nobody, documents, Pairs.all(0, 30), VIEWS).late.shape == (2, 0)
        nothing = documents.take(np.empty(0, np.int64))
        assert scorer.score(queries, nothing, Pairs.all(6, 0), VIEWS).pooled.shape == (0,)
