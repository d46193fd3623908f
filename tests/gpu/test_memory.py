"""What a GPU holds has a ceiling: of a pass's tokens when encoding, of a tile when scoring, however much there is."""

import numpy as np
import pytest
import tiny_vl
import torch
import transformers
from seeing import loaded, picture, segment

from smart_jobs.lake.states import Packed, Ragged
from smart_jobs.records import AssetError
from smart_jobs.search import maxsim, products

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")

MIB = 1 << 20
MARGIN = 1.1
"""Passes are not all equally full."""
LIBRARIES = 80 * MIB
"""What matrix products take beside their operands: 32 MiB each for cuBLAS and cuBLASLt on Hopper, rounded up."""


def wide_text(folder):
    """A text model whose activations weigh more than its weights, and more than what CUDA's libraries hold."""
    tiny_vl.qwen3(folder)
    sizes = {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4, "head_dim": 64, "vocab_size": 300,
             "max_position_embeddings": 65536}  # fmt: skip
    config = transformers.Qwen3Config(**{**tiny_vl.TEXT, **sizes})
    tiny_vl.fill(transformers.Qwen3Model(config), 0).save_pretrained(folder)
    return folder


def texts(lengths):
    return [segment("x" * length) for length in lengths]


def pages(count):
    """Of 64 to 256 tokens beside the prompt's, every fourth with words."""
    sides = [(256, 256), (512, 256), (512, 512)]
    shown = [picture(*side) for side in sides]
    return [segment("ab " * 20 if i % 4 == 0 else "", [shown[i % 3]]) for i in range(count)]


def token_bytes(config, longest, size):
    """Upper bound of what one padded token of a pass holds beside the weights.

    As if everything that a layer computes lived at once, in numbers of `size` bytes: the residual stream, the norms and
    projections of d; queries of all heads, their normed, rotated and copied forms, keys and values before and after
    they are repeated; four of the feed-forward's width. Norms compute in float32, twice. The mask is a byte for each
    token of the longest row, twice while it is made, and a number, twice in the attention kernel. Attention's products
    are in no bound: in bf16 every kernel that torch prefers on CUDA keeps none.
    """
    text = config.get_text_config()
    heads = text.num_attention_heads * text.head_dim
    pairs = text.num_key_value_heads * text.head_dim
    layer = size * (6 * text.hidden_size + 8 * heads + 4 * pairs + 4 * text.intermediate_size)
    norms = 8 * (text.hidden_size + heads)
    positions = (8 + 2 * size) * text.head_dim + 64
    return layer + norms + positions + longest * (2 + 2 * size) + _patch_bytes(config, size)


def _patch_bytes(config, size):
    """The same of the patches that a visual token is made from; 0 for a text model.

    Pixels in float32: an image's own while it is cut and permuted, all of a pass in a list, all of them joined, and
    once more as the tower's numbers.
    """
    if not hasattr(config, "vision_config"):
        return 0
    vision = config.vision_config
    pixels = 3 * vision.temporal_patch_size * vision.patch_size**2 * (4 * 4 + size)
    tower = size * (16 * vision.hidden_size + 4 * vision.intermediate_size) + 16 * vision.hidden_size
    return vision.spatial_merge_size**2 * (pixels + tower)


def peak(work):
    """Bytes that tensors took at most while it ran."""
    torch.cuda.reset_peak_memory_stats()
    result = work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated(), result


def weight_bytes(model):
    return sum(each.numel() * each.element_size() for each in [*model.parameters(), *model.buffers()])


def test_encoding_texts_holds_no_more_for_ten_times_as_many(tmp_path):
    budget, longest = 16_384, 512
    encoder = loaded(wide_text(tmp_path / "wide"), "text", batch_tokens=budget, dtype="bfloat16")
    lengths = np.random.default_rng(0).choice([8, 60, 250, longest - 1], 400).tolist()  # many alike fill a pass
    first, _ = peak(lambda: encoder.encode(texts(lengths)))
    more, _ = peak(lambda: encoder.encode(texts(lengths * 10)))
    model = encoder._model._model
    room = first - weight_bytes(model)
    assert more - weight_bytes(model) <= MARGIN * room
    assert room <= budget * token_bytes(model.config, longest, 2) + LIBRARIES


def test_encoding_pages_holds_no_more_for_ten_times_as_many(tmp_path):
    budget = 4096
    folder = tiny_vl.checkpoint(tmp_path / "tiny", "qwen3_vl")
    encoder = loaded(folder, "qwen3_vl", batch_tokens=budget, dtype="bfloat16")
    some = pages(120)
    first, results = peak(lambda: encoder.encode(some))
    more, _ = peak(lambda: encoder.encode(some * 10))
    model = encoder._model._backbone.model
    room = first - weight_bytes(model)
    assert more - weight_bytes(model) <= MARGIN * room
    longest = max(len(encoder.prompt(each).ids) for each in some)
    assert room <= budget * token_bytes(model.config, longest, 2) + LIBRARIES
    assert not any(isinstance(result, AssetError) for result in results)


@pytest.fixture
def limited():
    """Sets how many bytes more torch may take from the device; lifted afterwards."""
    total = torch.cuda.get_device_properties(0).total_memory

    def limit(more):
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + more) / total)

    yield limit
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_what_does_not_fit_is_halved_and_what_never_fits_is_a_failure(tmp_path, limited):
    """A third of what a full pass took is left: full passes are halved, and one text is longer than what fits."""
    budget = 65_536
    encoder = loaded(wide_text(tmp_path / "wide"), "text", batch_tokens=budget, dtype="bfloat16", max_length=budget)
    lengths = np.random.default_rng(0).integers(300, 500, 256).tolist()
    encoder.encode(texts([8]))  # what the libraries keep is there from now on
    before = torch.cuda.memory_allocated()
    highest, wanted = peak(lambda: encoder.encode(texts(lengths)))
    forward, sizes = encoder._model.forward, []
    encoder._model.forward = lambda prompts: sizes.append(len(prompts)) or forward(prompts)
    limited((highest - before) // 3)
    results = encoder.encode(texts([*lengths, budget - 8]))
    error = results.pop()
    assert isinstance(error, AssetError)
    assert error.reason == "out_of_memory"
    tried = len(sizes)
    for result, other in zip(results, wanted, strict=True):
        assert result.pooled @ other.pooled > 0.999
    sizes.clear()
    encoder.encode(texts(lengths[:4]))
    assert sizes == [4]  # the limit is no state of the encoder
    torch.cuda.set_per_process_memory_fraction(1.0)
    sizes.clear()
    encoder.encode(texts([*lengths, budget - 8]))
    assert len(sizes) < tried


def documents(count, tokens, dim, random):
    """int8 states of norm about 1: a code's deviation is 58."""
    rows = random.integers(-100, 101, (count * tokens, dim), dtype=np.int8).view(np.uint8)
    factors = np.full(count * tokens, 1 / (58 * dim**0.5), np.float16)
    return Packed("int8", dim, factors, rows, np.arange(count + 1) * tokens)


def test_late_holds_a_tile_of_the_documents():
    """`maxsim.late` says some 25 MB and the queries' digits.

    On CUDA torch._int_mm has no `out`: a product of 8 MiB and a padded copy of 4 MiB come to it.
    """
    random, dim = np.random.default_rng(0), 1024
    values = random.standard_normal((4 * 32, dim)).astype(np.float32)
    queries = Ragged(values / np.linalg.norm(values, axis=1, keepdims=True), np.arange(5) * 32)
    few, many = documents(16, 256, dim, random), documents(1024, 256, dim, random)
    maxsim.late(queries, few)
    before = torch.cuda.memory_allocated()
    some, _ = peak(lambda: maxsim.late(queries, few))
    most, scores = peak(lambda: maxsim.late(queries, many))
    digits = products.DIGITS * values.size
    assert most - some <= MIB
    assert most - before <= 25 * MIB + 12 * MIB + 8 * digits + LIBRARIES < many.rows.nbytes
    assert torch.cuda.memory_allocated() <= before
    assert scores.shape == (4, 1024)
