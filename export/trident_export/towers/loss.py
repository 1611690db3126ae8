"""Sampled softmax over the items of a batch, corrected for how often an item gets into a batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

ALMOST_ONE = 1 - 1e-6


def inclusion(frequencies: Tensor, draws: int, extra: float = 0.0) -> Tensor:
    """Chance (N,) that an item is among the candidates of a batch.

    `draws` positives are drawn with probability `frequencies` (N,); `extra` is how often each item comes on average
    among the candidates that are drawn evenly.
    """
    missed = draws * torch.log1p(-frequencies.clamp(max=ALMOST_ONE))
    return -torch.expm1(missed - extra)


def sampled_softmax(
    logits: Tensor, targets: Tensor, log_inclusion: Tensor, hidden: Tensor | None = None, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy of `targets` (B,) among M distinct candidates: logits (B, M) → scalar.

    Candidates come in proportion to `log_inclusion` (M,); subtracting it makes the loss estimate the softmax over the
    whole catalogue, so that the learned score keeps what popularity tells. `hidden` (B, M) bool takes a candidate out
    for one user; a target is never hidden. `weights` (B,) say how much each row counts.
    """
    corrected = logits - log_inclusion
    if hidden is not None:
        hidden = hidden.scatter(1, targets[:, None], False)
        corrected = corrected.masked_fill(hidden, float("-inf"))
    losses = functional.cross_entropy(corrected, targets, reduction="none")
    if weights is None:
        return losses.mean()
    return (losses * weights).sum() / weights.sum().clamp(min=1e-12)


def in_history(histories: Tensor, candidates: Tensor, items: int) -> Tensor:
    """Mark which of `candidates` (M,) are in each user's history (B, H) → (B, M) bool."""
    columns = torch.full((items + 1,), len(candidates), device=candidates.device)
    columns[candidates] = torch.arange(len(candidates), device=candidates.device)
    marks = torch.zeros(len(histories), len(candidates) + 1, dtype=torch.bool, device=candidates.device)
    return marks.scatter(1, columns[histories], True)[:, :-1]  # -1 pads look up the extra last entry
