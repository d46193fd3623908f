"""An encoder in Qwen3-VL-Embedding-2B's shape with random weights, made on the device; no hub, no file of weights.

Speed does not depend on what weights are, as long as they are no zeros: chips run faster, and cooler, on those.
"""

import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import transformers

from smart_jobs.encode import batched, checkpoint
from smart_jobs.encode.batched import Batched
from smart_jobs.encode.qwen3_vl import Qwen3VL
from smart_jobs.keys import Cut
from tests import tiny_vl

TEXT = {"vocab_size": 151_936, "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
        "max_position_embeddings": 262_144}  # fmt: skip
VISION = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16, "out_hidden_size": 2048,
          "num_position_embeddings": 2304, "deepstack_visual_indexes": [5, 11, 17]}  # fmt: skip
SECTIONS = [24, 20, 20]
SMALL_TEXT = {**TEXT, "vocab_size": 512, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4,
              "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}  # fmt: skip
SMALL_VISION = {**VISION, "depth": 4, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2,
                "out_hidden_size": 64, "deepstack_visual_indexes": [0, 1, 2]}  # fmt: skip


def shape(layers: int | None, small: bool, ids: dict[str, int]) -> Any:
    """The config; `layers` cuts both towers to so many, but never below what DeepStack taps."""
    text, vision = (dict(SMALL_TEXT), dict(SMALL_VISION)) if small else (dict(TEXT), dict(VISION))
    if layers is not None:
        text["num_hidden_layers"] = max(layers, 3)
        vision["depth"] = max(layers, 3)
        vision["deepstack_visual_indexes"] = [0, 1, 2]
    sections = [3, 3, 2] if small else SECTIONS
    rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": sections, "mrope_interleaved": True}
    shared = {"patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2}
    return transformers.Qwen3VLConfig(
        text_config={**text, "rope_parameters": rope}, vision_config={**vision, **shared}, **ids
    )


@torch.no_grad()
def filled(config: Any, dtype: torch.dtype, device: torch.device) -> Any:
    """The model on the device, every weight drawn: matrices that keep a vector's length, norms about 1, biases about 0.

    Attention as `batched.pretrained` chooses it.
    """
    flash = device.type == "cuda" and transformers.utils.is_flash_attn_2_available()
    how = "flash_attention_2" if flash else None
    torch.manual_seed(0)
    with torch.device(device):
        model = transformers.AutoModel.from_config(config, dtype=dtype, attn_implementation=how)
    for name, value in model.named_parameters():
        norm = "norm" in name and name.endswith("weight")
        value.normal_(float(norm), value[0].numel() ** -0.5 if value.dim() > 1 else 0.02)
    model.config.get_text_config().use_cache = False
    return model.eval().to(device)


def encoder(layers: int | None, small: bool, batch_tokens: int) -> tuple[Batched, Any]:
    """The encoder as an ingest has it, and its config. The tokenizer is small, its names are the real one's."""
    device = batched.device()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = tiny_vl.bytes_tokenizer(folder)
        tiny_vl.ending(folder, made)
        config = shape(layers, small, tiny_vl._ids(made))
        config.save_pretrained(folder)
        pixels = {"image_mean": tiny_vl.HALF, "image_std": tiny_vl.HALF}
        tiny_vl.write(folder, preprocessor_config=pixels)
        (folder / "model.safetensors").touch()  # what a spec is digested from
        spec, _ = checkpoint.resolve(tiny_vl.encoder(folder, "qwen3_vl", dtype="bfloat16", max_length=8192), Cut())
        model = filled(config, torch.bfloat16, device)
        with mock.patch.object(batched, "pretrained", return_value=model):
            return Batched(Qwen3VL(spec, folder), batch_tokens), config


def flops(config: Any, visual: int, tokens: int) -> float:
    """Floating-point operations that one item needs: `visual` tokens of one image among all its `tokens`.

    Matrix products twice their sizes, attention between patches in full, between tokens only backwards; nothing for
    norms, activations and padding.
    """
    text, vision = config.text_config, config.vision_config
    d, f, depth = text.hidden_size, text.intermediate_size, text.num_hidden_layers
    heads, pairs = text.num_attention_heads * text.head_dim, text.num_key_value_heads * text.head_dim
    layer = 2 * tokens * (2 * d * heads + 2 * d * pairs + 3 * d * f) + 2 * tokens**2 * heads
    return depth * layer + _vision_flops(vision, visual, d)


def _vision_flops(vision: Any, visual: int, d: int) -> float:
    merged = vision.spatial_merge_size**2
    patches, width = visual * merged, vision.hidden_size
    block = 2 * patches * (4 * width**2 + 2 * width * vision.intermediate_size) + 4 * patches**2 * width
    embedding = 2 * patches * 3 * vision.temporal_patch_size * vision.patch_size**2 * width
    merger = 2 * visual * (merged * width) * (merged * width + d)
    return vision.depth * block + embedding + (1 + len(vision.deepstack_visual_indexes)) * merger
