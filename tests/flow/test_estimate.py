"""Bytes that a dry run announces, by codec and pool factor. Starts no Ray."""

import pytest
from jobs import write_corpus

from smart_jobs import codec, config, settings
from smart_jobs.encode import checkpoint
from smart_jobs.flow import actors, estimate, ingest
from smart_jobs.records import JobError, Planned


@pytest.fixture
def announced(tmp_path, tiny_encoder):
    """Bytes of states that `ingest --dry-run` announces with these words."""
    source = write_corpus(tmp_path / "docs")

    def of(*words: str) -> int:
        keys = [f"source={source}", f"lake={tmp_path / 'lake'}", f"encoder={tiny_encoder}", *words]
        return ingest.dry_run(config.load(settings.Ingest, "ingest", keys))["bytes"]["hidden_states"]

    return of


def test_states_are_announced_in_their_codec(announced):
    whole = announced("codec=float32")
    for name in codec.CODECS:
        assert announced(f"codec={name}") == pytest.approx(whole * codec.size(1, 32, name) / 128, rel=1e-3)
    assert announced() == announced("codec=int8")


def test_merged_states_are_announced_as_so_many_fewer(announced):
    assert announced("encoder.pool_factor=4") == pytest.approx(announced() / 4, rel=1e-3)


def test_what_does_not_fit_is_refused_before_anything_is_encoded(tmp_path, tiny_encoder, announced):
    keys = [f"source={tmp_path / 'docs'}", f"lake={tmp_path / 'lake'}", f"encoder={tiny_encoder}"]
    job = config.load(settings.Ingest, "ingest", keys)
    spec, _ = checkpoint.resolve(job.encoder, job)
    plan = [Planned(asset) for asset in ingest.listed(job.source, job.lake.uri)]
    run = actors.Run("run", job.lake.uri, "", spec, job.encoder, job.unit_tokens, job.batch_tokens)
    needed = sum(estimate.stored(*estimate.sampled(plan, run), spec, "int8").values())
    assert needed == sum(ingest.dry_run(job)["bytes"].values()) > 0
    estimate.check_space(plan, run, "int8", needed)
    estimate.check_space(plan, run, "int8", None)
    with pytest.raises(JobError, match=f"lake .*: about {needed:,} bytes will be written, {needed - 1:,} are free"):
        estimate.check_space(plan, run, "int8", needed - 1)
