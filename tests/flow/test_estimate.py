"""Bytes that a dry run announces, by codec and pool factor. Starts no Ray."""

import pytest
from jobs import write_corpus

from smart_jobs import codec, config, settings
from smart_jobs.flow import ingest


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
