"""The scheduling of GPUs, on a machine that need not have one: Ray is told that there is."""

import pytest
from jobs import as_json, write_corpus


@pytest.mark.slow
def test_two_encoders_share_one_gpu(tmp_path, tiny_encoder):
    """Ray hands the share out; where there is no such device, torch sees none and the CPU does the work."""
    source = write_corpus(tmp_path / "docs", files=6)
    words = ("ingest", f"source={source}", f"lake={tmp_path / 'lake'}", f"encoder={tiny_encoder}", "unit_tokens=100")
    gpus = ("cluster.gpus=1", "cluster.encode_gpus=0.5", "cluster.cpus=4")
    code, done = as_json(*words, *gpus)
    assert (code, done["failed_by_reason"]) == (3, {"empty": 1})
    assert done["encoded"] == done["segments"] - 1 > 0
