"""The final layer's hidden states of a batch -> one pooled vector and the kept states of each segment."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from smart_jobs.records import AssetError, Embedding


def pool(hidden: torch.Tensor, attended: torch.Tensor, how: str) -> torch.Tensor:
    """(b, t, d) and (b, t) bool -> (b, d) float32, not normalised. Padding may lie on either side.

    `mean` as sentence-transformers: the mean over attended tokens, special ones included; `cls`: the first attended
    token; `last`: the last attended token.
    """
    if how == "mean":
        counted = attended.unsqueeze(-1)
        return hidden.float().masked_fill(~counted, 0).sum(1) / counted.sum(1).clamp(min=1)
    positions = torch.arange(attended.shape[1], device=attended.device).expand_as(attended)
    last = torch.where(attended, positions, -1).amax(1)
    first = torch.where(attended, positions, attended.shape[1]).amin(1)
    chosen = last if how == "last" else first
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), chosen].float()


def embeddings(
    pooled: torch.Tensor | None,
    hidden: torch.Tensor,
    keep: Sequence[np.ndarray],
    change: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> list[Embedding | AssetError]:
    """One result a row, in order, float32 on the CPU: pooled of norm 1, states as they are.

    `pooled` (b, d), or None: then it is the mean of a row's normalised states. Row i of `hidden` (b, t, d) has its
    states where `keep[i]`, (t_i,) bool, says; only they leave the device, passed through `change` where there is one.
    A row that keeps no token gets its pooled vector as its only state (the reference's rule, SMART's evaluator); a row
    with NaN or infinity gets an AssetError `not_finite`, since a NaN would top every ranking.
    """
    at = [torch.from_numpy(np.flatnonzero(mask)) for mask in keep]
    rows = torch.cat([i * hidden.shape[1] + found for i, found in enumerate(at)]).to(hidden.device)
    chosen = hidden.reshape(-1, hidden.shape[-1])[rows]
    kept = (chosen if change is None else change(chosen)).cpu().float().numpy()
    states = np.split(kept, np.cumsum([len(found) for found in at])[:-1])
    if pooled is None:
        return [_one(_mean(own), own) for own in states]
    vectors = torch.nn.functional.normalize(pooled.float(), dim=-1).cpu().numpy()
    return [_one(vector, own) for vector, own in zip(vectors, states, strict=True)]


def _mean(states: np.ndarray) -> np.ndarray:
    unit = torch.nn.functional.normalize(torch.from_numpy(states), dim=-1)
    mean: np.ndarray = torch.nn.functional.normalize(unit.mean(0), dim=0).numpy()
    return mean


def _one(pooled: np.ndarray, states: np.ndarray) -> Embedding | AssetError:
    if not (np.isfinite(pooled).all() and np.isfinite(states).all()):
        return AssetError("not_finite", "the model's output holds NaN or infinity", "encode")
    return Embedding(pooled, states if len(states) else pooled[None, :])
