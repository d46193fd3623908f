"""What the GPU benchmark takes for granted: the model's shape, its operations, and that its ways agree."""

import numpy as np
import pytest
import torch
import transformers
from seeing import picture, segment
from torch.utils.flop_counter import FlopCounterMode

from smart_jobs.encode import batched
from smart_jobs.search import maxsim
from tests.bench import gpu_model, gpu_scoring

PARAMETERS = 2_127_532_032
"""Of Qwen3-VL-Embedding-2B's weights."""


def test_the_shape_is_the_real_ones():
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(gpu_model.shape(None, False, {}), dtype=torch.bfloat16)
    assert sum(value.numel() for value in model.parameters()) == PARAMETERS


def test_no_weight_is_zero_and_operations_are_those_that_torch_counts(monkeypatch):
    monkeypatch.setattr(batched, "device", lambda: torch.device("cpu"))
    encoder, config = gpu_model.encoder(None, True, 4096)
    assert all((value != 0).float().mean() > 0.99 for value in encoder._model._backbone.model.parameters())
    item = segment("", [picture(256, 512)])
    tokens, text = len(encoder.prompt(item).ids), config.text_config
    with FlopCounterMode(display=False) as counter:
        [result] = encoder.encode([item])
    assert 0.5 < result.states.std() < 2
    ahead = 2 * tokens**2 * text.num_attention_heads * text.head_dim * text.num_hidden_layers
    assert counter.get_total_flops() == pytest.approx(gpu_model.flops(config, 128, tokens) + ahead, rel=1e-3)


def test_ways_of_late_interaction_agree():
    random = np.random.default_rng(0)
    documents = gpu_scoring.stored(random, np.array([3, 40, 17]), 64)
    query = gpu_scoring.asked(random, 1, 32, 64)
    ways = gpu_scoring.ways(query, documents, torch.device("cpu" if not torch.cuda.is_available() else "cuda"))
    wanted = maxsim.late(query, documents)
    for name, way in ways.items():
        np.testing.assert_allclose(way(), wanted, atol=1e-5 if "float32" in name else 5e-3)


def test_tiles_find_what_the_whole_finds():
    generator = torch.Generator().manual_seed(0)
    vectors, asks = (torch.randn(count, 8, generator=generator) for count in (1000, 7))
    scores, places = gpu_scoring.tiled(vectors, asks, 20, 64)
    wanted = torch.topk(asks @ vectors.T, 20, dim=1)
    torch.testing.assert_close(scores, wanted.values)
    assert (places == wanted.indices).all()
