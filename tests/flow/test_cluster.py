"""How a cluster's CPUs and GPUs are shared out, and what is said of a node that does not see the lake."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_jobs.flow import cluster
from smart_jobs.lake import table
from smart_jobs.records import JobError
from smart_jobs.settings import Cluster


@pytest.mark.parametrize(
    ("cpus", "gpus", "actors", "cpus_each", "threads"),
    [
        ([2], 0, 1, 1.5, 2),
        ([6], 0, 1, 5.5, 6),
        ([16], 0, 4, 3.5, 4),
        ([1, 1], 0, 2, 0.5, 1),
        ([0, 8, 8], 0, 4, 3.5, 4),
        ([16], 1, 1, 0.5, 16),
        ([0], 0, 1, 0.5, 1),
    ],
)
def test_what_an_encoder_gets(cpus, gpus, actors, cpus_each, threads):
    pools = cluster.shared(cpus, gpus, Cluster(address=None))
    assert (pools.encode_actors, pools.encode_cpus, pools.encode_threads) == (actors, cpus_each, threads)


@given(st.lists(st.integers(0, 64), min_size=1, max_size=5), st.one_of(st.none(), st.integers(1, 20)))
def test_every_encoder_of_ours_finds_a_place_and_one_that_was_asked_for_does(cpus, asked):
    pools = cluster.shared(cpus, 0, Cluster(address=None, encode_actors=asked))
    places = sum(int(count // pools.encode_cpus) for count in cpus if count)
    assert places >= (pools.encode_actors if asked is None else 1) or not any(cpus)


def test_a_lake_as_one_sees_it(tmp_path):
    uri = str(tmp_path / "lake")
    assert cluster.view(uri, "id") == "does not see it"
    lake = table.create_lake(uri)
    assert cluster.view(uri, lake.id) == ""
    assert cluster.view(uri, "id") == "sees another lake there"
    cluster.check_here(uri, lake.id)
    with pytest.raises(
        JobError, match=rf"^lake {uri}: node \S+ sees another lake there; put the lake where every node"
    ):
        cluster.check_here(uri, "id")


def test_a_store_that_does_not_answer_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    assert cluster.view("s3://bucket/lake", "id").startswith("cannot read it (s3://bucket/lake/_lake.json: ")
    assert "\n" not in cluster.view("s3://bucket/lake", "id")
