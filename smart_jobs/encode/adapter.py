"""A trained adapter of hidden states: LayerNorm, then a linear map without bias, on every state that is kept.

Read from files as SMART's authors write them, by `torch.save` or as safetensors: `proj.0.weight` and `proj.0.bias` are
the norm's, `proj.1.weight` is the map's; their trainer puts these into `token_projection_module`, beside what it says
of the training. Pooled vectors stay as the model gave them. Their adapters with an MLP, with attention, or of several
layers are other maps, and are refused.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from smart_jobs.records import UsageError

EPSILON = 1e-5
"""What torch's LayerNorm adds to the variance."""
MODULE = "token_projection_module"
NAMES = ("proj.0.weight", "proj.0.bias", "proj.1.weight")


@dataclass(frozen=True, slots=True)
class Adapter:
    """The norm's `weight` and `bias` (h,), and the `linear` map (d, h), in float32."""

    weight: torch.Tensor
    bias: torch.Tensor
    linear: torch.Tensor

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """(n, h) states on any device -> (n, d) float32 there, not normalised: scoring does that."""
        weight, bias, linear = (part.to(states.device) for part in (self.weight, self.bias, self.linear))
        normed = torch.nn.functional.layer_norm(states.float(), weight.shape, weight, bias, EPSILON)
        return torch.nn.functional.linear(normed, linear)


def read(path: Path, dim: int) -> Adapter:
    """The adapter in a file, for states of size `dim`.

    Raises UsageError where the file is no adapter, or gives vectors of another size: they share a table with others.
    """
    found = _tensors(path)
    if set(found) != set(NAMES):
        said = ", ".join(sorted(found)) or "none"
        raise UsageError(f"encoder.adapter={path}: expected the tensors {', '.join(NAMES)} alone, found {said}")
    made = Adapter(*(found[name].float() for name in NAMES))
    shapes = [tuple(part.shape) for part in (made.weight, made.bias, made.linear)]
    if shapes != [(dim,), (dim,), (dim, dim)]:
        said = ", ".join(f"{name} {shape}" for name, shape in zip(NAMES, shapes, strict=True))
        raise UsageError(f"encoder.adapter={path}: expected states of {dim} on both sides, found {said}")
    return made


def adapted(states: np.ndarray, made: Adapter) -> np.ndarray:
    """Stored states (n, h) -> (n, d) float32, as encoding with the adapter would have stored them.

    Exactly so for states of the codec `bf16`, which keeps their lengths. For unit vectors LayerNorm's epsilon weighs h
    times as much: at 2,048 dimensions it shrinks what the bias is added to by 1 %.
    """
    with torch.inference_mode():
        result: np.ndarray = made(torch.from_numpy(np.asarray(states, np.float32))).numpy()
    return result


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file by name."""
    try:
        loaded = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"encoder.adapter={path}: not a file of tensors: {reason}") from error
    content: Mapping[Any, Any] = loaded if isinstance(loaded, Mapping) else {}
    _check_layer(path, content)
    tensors: Mapping[Any, Any] = content.get(MODULE, content)
    return {str(name): value for name, value in tensors.items() if isinstance(value, torch.Tensor)}


def _check_layer(path: Path, content: Mapping[str, Any]) -> None:
    """Raises UsageError for an adapter that was trained on another layer than the last: its states are not kept."""
    for key in ("selected_layers", "use_last_n_layers"):
        if content.get(key) not in (None, 1):
            said = f"{key}={content[key]}: only adapters of the last layer alone are applied"
            raise UsageError(f"encoder.adapter={path}: it was trained with {said}")
