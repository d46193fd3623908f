"""The final layer's hidden states of a batch -> one pooled vector and the kept states of each segment."""

import numpy as np
import torch

from smart_jobs.records import AssetError, Embedding


def pool(hidden: torch.Tensor, attended: torch.Tensor, how: str) -> torch.Tensor:
    """(b, t, d) float32 and (b, t) bool -> (b, d), not normalised. Padding may lie on either side.

    `mean` as sentence-transformers: the mean over attended tokens, special ones included; `cls`: the first attended
    token; `last`: the last attended token.
    """
    if how == "mean":
        counted = attended.unsqueeze(-1)
        return hidden.masked_fill(~counted, 0).sum(1) / counted.sum(1).clamp(min=1)
    positions = torch.arange(attended.shape[1], device=attended.device).expand_as(attended)
    last = torch.where(attended, positions, -1).amax(1)
    first = torch.where(attended, positions, attended.shape[1]).amin(1)
    chosen = last if how == "last" else first
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), chosen]


def embeddings(
    hidden: torch.Tensor, attended: torch.Tensor, keep: torch.Tensor, how: str
) -> list[Embedding | AssetError]:
    """One result a row, in order, float32 on the CPU: pooled of norm 1, states as they are.

    `keep` (b, t) bool says which tokens become states. A row that keeps no token gets its pooled vector as its only
    state (the reference's rule, SMART's evaluator); a row with NaN or infinity gets an AssetError `not_finite`, since a
    NaN would top every ranking.
    """
    values = hidden.float()
    pooled = torch.nn.functional.normalize(pool(values, attended, how), dim=-1)
    vectors, kept, rows = pooled.cpu().numpy(), keep.cpu().numpy(), values.cpu().numpy()
    return [_one(vector, row[mask]) for vector, row, mask in zip(vectors, rows, kept, strict=True)]


def _one(pooled: np.ndarray, states: np.ndarray) -> Embedding | AssetError:
    if not (np.isfinite(pooled).all() and np.isfinite(states).all()):
        return AssetError("not_finite", "the model's output holds NaN or infinity", "encode")
    return Embedding(pooled, states if len(states) else pooled[None, :])
