"""How a cluster's CPUs and GPUs are shared out, what is said of nodes that do not see the lake, the manifests."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jobs import write_corpus

from smart_jobs import config, settings
from smart_jobs.encode import checkpoint
from smart_jobs.flow import actors, ingest, stream
from smart_jobs.flow import cluster as clusters
from smart_jobs.keys import Cluster
from smart_jobs.lake import layout
from smart_jobs.records import JobError, Planned, UsageError


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
    pools = clusters.shared(cpus, gpus, Cluster(address=None))
    assert (pools.encode_actors, pools.encode_cpus, pools.encode_threads) == (actors, cpus_each, threads)


@pytest.mark.parametrize(("share", "actors"), [(1.0, 2), (0.5, 4), (0.4, 4), (0.3, 6)])
def test_encoders_share_gpus_as_the_config_says(share, actors):
    pools = clusters.shared([16], 2, Cluster(address=None, encode_gpus=share))
    assert (pools.encode_actors, pools.encode_gpus) == (actors, share)
    assert clusters.shared([16], 0, Cluster(address=None, encode_gpus=share)).encode_gpus == 0


@given(st.lists(st.integers(0, 64), min_size=1, max_size=5), st.one_of(st.none(), st.integers(1, 20)))
def test_every_encoder_of_ours_finds_a_place_and_one_that_was_asked_for_does(cpus, asked):
    pools = clusters.shared(cpus, 0, Cluster(address=None, encode_actors=asked))
    places = sum(int(count // pools.encode_cpus) for count in cpus if count)
    assert places >= (pools.encode_actors if asked is None else 1) or not any(cpus)


def test_a_lake_as_one_sees_it(tmp_path):
    uri = str(tmp_path / "lake")
    assert clusters.view(uri, "id") == "does not see it"
    lake = layout.create_lake(uri)
    assert clusters.view(uri, lake.id) == ""
    assert clusters.view(uri, "id") == "sees another lake there"
    clusters.check_here(uri, lake.id)
    with pytest.raises(
        JobError, match=rf"^lake {uri}: node \S+ sees another lake there; put the lake where every node"
    ):
        clusters.check_here(uri, "id")


def test_a_store_that_does_not_answer_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    assert clusters.view("s3://bucket/lake", "id").startswith("cannot read it (s3://bucket/lake/_lake.json: ")
    assert "\n" not in clusters.view("s3://bucket/lake", "id")


KUBERAY = Path(__file__).resolve().parents[2] / "conf" / "cluster" / "kuberay"


def test_the_rayjob_runs_valid_commands_and_the_cron_job_runs_it(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    job = yaml.safe_load((KUBERAY / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    shell = shlex.split(job["spec"]["entrypoint"])
    assert shell[:2] == ["sh", "-c"]
    assert subprocess.run(["sh", "-nc", shell[2]], check=False).returncode == 0
    commands = re.findall(r"python -m pipelines\.(\w+) ([^;&]*)", shell[2])
    models = {"ingest": settings.Ingest, "index": settings.IndexJob}
    assert [name for name, _ in commands] == list(models)
    for name, words in commands:
        loaded = config.load(models[name], name, [word for word in words.split() if word != "--json"])
        assert (loaded.lake.uri, loaded.encoder.name) == ("s3://my-bucket/lake", "minilm")
    groups = [job["spec"]["rayClusterSpec"]["headGroupSpec"], *job["spec"]["rayClusterSpec"]["workerGroupSpecs"]]
    images = {container["image"] for group in groups for container in group["template"]["spec"]["containers"]}
    assert len(images) == 1
    nightly = list(yaml.safe_load_all((KUBERAY / "nightly.yaml").read_text()))
    [pod] = [part["spec"]["jobTemplate"]["spec"]["template"]["spec"] for part in nightly if part["kind"] == "CronJob"]
    assert pod["containers"][0]["command"][-1].endswith("/rayjob.yaml")
    assert {part["metadata"]["name"] for part in nightly} == {"smart-jobs-nightly"}


def test_cluster_address_needs_one(monkeypatch):
    words = ["source=./docs", "cluster=address"]
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert config.load(settings.Ingest, "ingest", words).cluster.address == "10.0.0.1:6379"
    monkeypatch.delenv("RAY_ADDRESS")
    with pytest.raises(UsageError, match="RAY_ADDRESS"):
        config.load(settings.Ingest, "ingest", words)
    assert config.choices("cluster", config.conf_folders()) == ["address", "local"]


@pytest.mark.ray
def test_a_node_that_joins_later_and_sees_another_lake_ends_the_job_in_one_line(tmp_path, tiny_encoder, cluster):
    """What the actor of such a node raises as it starts is what the job raises."""
    source = write_corpus(tmp_path / "docs", files=1)
    words = [f"source={source}", f"lake={tmp_path / 'lake'}", f"encoder={tiny_encoder}"]
    job = config.load(settings.Ingest, "ingest", words)
    spec, _ = checkpoint.resolve(job.encoder, job)
    tables = layout.create_encoder(layout.create_lake(job.lake.uri), spec, None)
    run = actors.Run("run", tables.lake.uri, "another", spec, job.encoder, job.unit_tokens, job.batch_tokens)
    plan = [Planned(asset) for asset in ingest.listed(job.source, job.lake.uri)]
    with pytest.raises(JobError, match=rf"^lake {tmp_path}/lake: node \S+ sees another lake there; put the lake "):
        list(stream.receipts(plan, run, job.cluster))
