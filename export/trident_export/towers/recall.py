"""Exact recall of held-out pairs."""

from __future__ import annotations

import torch
from torch import Tensor

ROWS_AT_ONCE = 1024


def recall_at(k: int, users: Tensor, items: Tensor, targets: Tensor, histories: Tensor) -> float:
    """Share of pairs whose target is among the k best items for the user.

    users (E, D), items (N, D), targets (E,), histories (E, H) with -1 pads. Items of the history do not compete, for
    they are not recommended again; a target always does. Ties count against the target.
    """
    hits = 0
    for start in range(0, len(users), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        scores = users[part] @ items.T
        wanted = scores.gather(1, targets[part, None])
        left_out = torch.where(histories[part] < 0, targets[part, None], histories[part])
        scores.scatter_(1, left_out, float("-inf")).scatter_(1, targets[part, None], float("-inf"))
        ahead = (scores >= wanted).sum(dim=1)
        hits += int((ahead < k).sum())
    return hits / max(len(users), 1)
