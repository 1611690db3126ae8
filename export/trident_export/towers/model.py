"""The two networks and the item vectors that they share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trident.contract import EMBEDDING_DIM
from trident_export.towers.encoding import ColumnStatistics, FeatureEncoder

HIDDEN = (256, 128)


class Tower(nn.Module):
    """(B, C) raw rows and (B, 128) vectors → (B, 128) of unit length.

    The vector goes through the network together with the features and also straight to the output: so the product of
    a user and an item starts as the product of two linear maps, a matrix factorisation, and the network refines it.
    """

    def __init__(self, statistics: ColumnStatistics, dropout: float) -> None:
        super().__init__()
        self.encoder = FeatureEncoder(statistics)
        self.first = nn.Linear(statistics.width + EMBEDDING_DIM, HIDDEN[0])
        self.second = nn.Linear(HIDDEN[0], HIDDEN[1])
        self.last = nn.Linear(HIDDEN[1], EMBEDDING_DIM)
        self.shortcut = nn.Linear(EMBEDDING_DIM, EMBEDDING_DIM, bias=False)
        nn.init.eye_(self.shortcut.weight)
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor, vectors: Tensor) -> Tensor:
        """Embed raw rows with their vectors."""
        hidden = torch.cat([self.encoder(rows), vectors], dim=1)
        hidden = self.dropout(functional.relu(self.first(hidden)))
        hidden = self.dropout(functional.relu(self.second(hidden)))
        return functional.normalize(self.last(hidden) + self.shortcut(vectors), dim=1)


class TwoTowers(nn.Module):
    """Both towers over one table of item vectors: the item's own vector, and their mean over a user's history."""

    known: Tensor

    def __init__(
        self, user: ColumnStatistics, item: ColumnStatistics, known: Tensor, temperature: float, dropout: float
    ) -> None:
        """Start untrained; `known` (N,) bool marks items that occur in training, the others keep a zero vector."""
        super().__init__()
        self.user_tower = Tower(user, dropout)
        self.item_tower = Tower(item, dropout)
        self.vectors = nn.Parameter(torch.randn(len(known), EMBEDDING_DIM) * EMBEDDING_DIM**-0.5 * known[:, None])
        self.log_scale = nn.Parameter(torch.tensor(1 / temperature).log())
        self.register_buffer("known", known)

    def taste(self, histories: Tensor) -> Tensor:
        """Mean vector of each user's history (B, H), zeros when it is empty: the torch form of `trident.taste.pool`."""
        present = histories >= 0
        counts = present.sum(dim=1)
        starts = counts.cumsum(0) - counts
        return functional.embedding_bag(histories[present], self.vectors, starts, mode="mean")

    def users(self, rows: Tensor, histories: Tensor) -> Tensor:
        """Embed users: rows (B, 40) and histories (B, H) → (B, 128)."""
        return self.user_tower(rows, self.taste(histories))

    def items(self, rows: Tensor, items: Tensor, dropout: float = 0.0) -> Tensor:
        """Embed `items` (M,) with their rows (M, 40) → (M, 128); a share `dropout` loses its own vector.

        That teaches the features to carry an item that has no vector yet.
        """
        vectors = functional.embedding(items, self.vectors)
        keep = self.known[items]
        if dropout:
            keep = keep & (torch.rand(len(items), device=items.device) >= dropout)
        return self.item_tower(rows, vectors * keep[:, None])
