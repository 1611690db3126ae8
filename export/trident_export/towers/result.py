"""Trained towers: embeddings, item vectors, the embedding space's id, and the ONNX file for serving."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from trident.contract import EMBEDDING_DIM
from trident.errors import ReleaseError
from trident_export.towers.model import TwoTowers

ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class Epoch:
    """One line of the training curves."""

    epoch: int
    loss: float
    recall: float  # of the validation pairs, at k
    temperature: float
    seconds: float


@dataclass(frozen=True)
class ItemEmbeddings:
    """The embeddings of N items, each made when it is asked for: what an index of millions is filled from."""

    model: TwoTowers
    rows: np.ndarray  # (N, 40) float32

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, asked: slice | np.ndarray) -> np.ndarray:
        """Embed a slice or an array of rows: (m, 128) float32 of unit length."""
        numbers = np.arange(*asked.indices(len(self))) if isinstance(asked, slice) else np.asarray(asked)
        parts = [np.empty((0, EMBEDDING_DIM), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(numbers), ROWS_AT_ONCE):
                part = numbers[start : start + ROWS_AT_ONCE]
                rows = torch.from_numpy(np.ascontiguousarray(self.rows[part], np.float32))
                parts.append(self.model.items(rows, torch.from_numpy(part)).numpy())
        return np.concatenate(parts)


@dataclass(frozen=True)
class Towers:
    """What training returns; everything here runs on the CPU."""

    model: TwoTowers
    item_rows: np.ndarray  # (N, 40) float32
    sample_rows: np.ndarray  # (S, 40) float32 user rows of the training, for the parity check
    k: int  # of the validation recall
    curves: tuple[Epoch, ...]
    best: Epoch  # the epoch that was kept

    def user_embeddings(self, user_rows: np.ndarray, taste: np.ndarray) -> np.ndarray:
        """Embed users: rows (n, 40) and taste (n, 128), float32 → (n, 128) float32 of unit length."""
        parts = [np.empty((0, EMBEDDING_DIM), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(user_rows), ROWS_AT_ONCE):
                part = slice(start, start + ROWS_AT_ONCE)
                inputs = (torch.from_numpy(np.ascontiguousarray(a[part], np.float32)) for a in (user_rows, taste))
                parts.append(self.model.user_tower(*inputs).numpy())
        return np.concatenate(parts)

    def item_embeddings(self, item_rows: np.ndarray | None = None) -> np.ndarray:
        """Embed all items, from the rows of the training or from newer `item_rows` (N, 40) → (N, 128) float32."""
        return self.items(item_rows)[:]

    def items(self, item_rows: np.ndarray | None = None) -> ItemEmbeddings:
        """The same, made only for the rows that are asked for."""
        return ItemEmbeddings(self.model, self.item_rows if item_rows is None else item_rows)

    @property
    def item_vectors(self) -> np.ndarray:
        """The vectors that `trident.taste.pool` averages: (N, 128) float16.

        They are zero for items that no training pair and no history holds.
        """
        return self.model.vectors.detach().numpy().astype(np.float16)

    @property
    def space(self) -> str:
        """Id of the embedding space: 16 hex digits over all weights. Embeddings of different spaces never meet."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            array = tensor.numpy()
            digest.update(f"{name} {array.dtype} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def export_onnx(self, path: Path) -> float:
        """Write the user tower for serving and return its largest difference from torch on sample rows.

        Raises ReleaseError when it is above 1e-4.
        """
        from trident_export.towers.onnx_graph import check_parity, write_user_tower  # onnx takes a while to import

        write_user_tower(self.model.user_tower, path)
        rows, taste = self._samples()
        return check_parity(path, rows, taste, self.user_embeddings(rows, taste))

    def _samples(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs that try all branches: training rows, half of them with holes, some far off; every third no taste."""
        rng = np.random.default_rng(0)
        rows = np.repeat(self.sample_rows, 2, axis=0)
        rows[::2][rng.random(rows[::2].shape) < 0.3] = np.nan
        rows[:3] = np.array([[np.nan], [1e9], [-1e9]], np.float32)[: len(rows)]
        taste = self.item_vectors[rng.integers(len(self.item_rows), size=len(rows))].astype(np.float32)
        taste[::3] = 0
        return rows, taste


def check_finite(model: TwoTowers) -> None:
    """Raise ReleaseError when a weight is NaN or infinite."""
    for name, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise ReleaseError(f"towers: weight '{name}' is not finite; train with a smaller learning_rate")
