"""Train the two towers."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor

from trident.contract import NO_ITEM
from trident.errors import InvalidInput
from trident_export.towers.config import TowerConfig
from trident_export.towers.data import TowerData
from trident_export.towers.encoding import ColumnStatistics
from trident_export.towers.loss import in_history, inclusion, sampled_softmax
from trident_export.towers.model import TwoTowers
from trident_export.towers.recall import recall_at
from trident_export.towers.result import Epoch, Towers, check_finite

MAX_LOG_SCALE = math.log(100.0)
SAMPLE_ROWS = 256  # user rows kept for the parity check of the export


@dataclass
class _Pairs:
    """The pairs of one split on the training device."""

    user_rows: Tensor
    histories: Tensor
    items: Tensor
    weights: Tensor | None

    @classmethod
    def of(cls, data: TowerData, device: torch.device, rows: Any = slice(None)) -> _Pairs:
        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array[rows])).to(device)

        weights = None if data.weights is None else tensor(data.weights)
        return cls(tensor(data.user_rows), tensor(data.histories), tensor(data.items), weights)

    def take(self, rows: Tensor) -> _Pairs:
        weights = None if self.weights is None else self.weights[rows]
        return _Pairs(self.user_rows[rows], self.histories[rows], self.items[rows], weights)


def train(
    data: TowerData, validation: TowerData, config: TowerConfig | None = None, progress: Progress | None = None
) -> Towers:
    """Learn from `data` until the recall on `validation` stops rising, and keep the best epoch.

    On the CPU the same data, config, machine and number of threads give the same weights, bit for bit. Raises
    InvalidInput for empty data and ReleaseError when the weights become NaN or infinite.
    """
    config = config or TowerConfig()
    if not len(data) or not len(validation):
        raise InvalidInput(f"towers: training needs pairs in both splits, got {len(data)} and {len(validation)}")
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        return _Training(data, validation, config).run(progress)


class _Training:
    """The state of one run."""

    def __init__(self, data: TowerData, validation: TowerData, config: TowerConfig) -> None:
        self.data, self.config = data, config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.pairs = _Pairs.of(data, self.device)
        self.held_out = _Pairs.of(validation, self.device, _sample(len(validation), config))
        self.item_rows = torch.from_numpy(data.item_rows).to(self.device)
        self.k = config.recall_at or max(1, min(500, len(data.item_rows) // 10))
        self.model = _untrained(data, config).to(self.device)
        counts = torch.bincount(self.pairs.items, minlength=len(data.item_rows))
        self.seen = counts.nonzero()[:, 0]  # an item that nobody could pick yet is no evidence against new items
        draws = min(config.batch_size, len(data))
        chance = inclusion(counts.double() / len(data), draws, config.uniform_candidates / len(self.seen))
        self.log_inclusion = config.correction * chance.clamp(min=1e-12).log().float()
        self.optimizer = _optimizer(self.model, config)
        steps = config.epochs * math.ceil(len(data) / config.batch_size)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)

    def run(self, progress: Progress | None) -> Towers:
        """Train epoch by epoch; keep the weights of the best one."""
        curves: list[Epoch] = []
        bar = progress.add_task("two towers", total=self.config.epochs) if progress else None
        for number in range(1, self.config.epochs + 1):
            curves.append(self._epoch(number))
            best = max(curves, key=lambda epoch: epoch.recall)  # the first of equals
            if best is curves[-1]:
                weights = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
            if progress and bar is not None:
                progress.update(bar, advance=1, description=f"two towers, recall@{self.k} {best.recall:.3f}")
            if number - best.epoch >= self.config.patience:
                break
        if progress and bar is not None:
            progress.update(bar, completed=self.config.epochs)
        self.model.load_state_dict(weights)
        return self._towers(curves, best)

    def _epoch(self, number: int) -> Epoch:
        started = time.perf_counter()
        self.model.train()
        losses = [self._step(batch) for batch in self._batches()]
        check_finite(self.model)
        recall = self._recall()
        temperature = float((-self.model.log_scale.detach()).exp())
        return Epoch(number, float(torch.stack(losses).mean()), recall, temperature, time.perf_counter() - started)

    def _batches(self) -> Iterator[_Pairs]:
        for rows in torch.randperm(len(self.data)).split(self.config.batch_size):
            yield self.pairs.take(rows.to(self.device))

    def _step(self, batch: _Pairs) -> Tensor:
        config, catalogue = self.config, len(self.item_rows)
        drawn = self.seen[torch.randint(len(self.seen), (config.uniform_candidates,)).to(self.device)]
        candidates, columns = torch.cat([batch.items, drawn]).unique(return_inverse=True)
        hidden = torch.rand(len(batch.items), 1).to(self.device) < config.history_dropout
        users = self.model.users(batch.user_rows, batch.histories.masked_fill(hidden, NO_ITEM))
        items = self.model.items(self.item_rows[candidates], candidates, config.vector_dropout)
        logits = users @ items.T * self.model.log_scale.exp()
        past = in_history(batch.histories, candidates, catalogue)
        targets = columns[: len(batch.items)]
        loss = sampled_softmax(logits, targets, self.log_inclusion[candidates], past, batch.weights)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.model.log_scale.data.clamp_(max=MAX_LOG_SCALE)
        return loss.detach()

    @torch.inference_mode()
    def _recall(self) -> float:
        self.model.eval()
        everything = torch.arange(len(self.item_rows), device=self.device)
        items = self.model.items(self.item_rows, everything)
        users = self.model.users(self.held_out.user_rows, self.held_out.histories)
        return recall_at(self.k, users, items, self.held_out.items, self.held_out.histories)

    def _towers(self, curves: list[Epoch], best: Epoch) -> Towers:
        model = self.model.cpu().eval().requires_grad_(False)
        return Towers(model, self.data.item_rows, self.data.user_rows[:SAMPLE_ROWS], self.k, tuple(curves), best)


def _sample(pairs: int, config: TowerConfig) -> np.ndarray:
    """Rows of the validation pairs that are measured each epoch."""
    chosen = np.random.default_rng(config.seed).permutation(pairs)[: config.validation_pairs]
    return np.sort(chosen)


def _untrained(data: TowerData, config: TowerConfig) -> TwoTowers:
    known = np.zeros(len(data.item_rows), bool)
    known[data.items] = True
    user = ColumnStatistics.fit(data.user_rows, data.user_categories)
    item = ColumnStatistics.fit(data.item_rows, data.item_categories)
    return TwoTowers(user, item, torch.from_numpy(known), config.temperature, config.dropout)


def _optimizer(model: TwoTowers, config: TowerConfig) -> torch.optim.Optimizer:
    looked_up = [model.vectors, *model.user_tower.encoder.tables, *model.item_tower.encoder.tables]
    special = {id(p) for p in (*looked_up, model.log_scale)}
    rest = [p for p in model.parameters() if id(p) not in special]
    return torch.optim.AdamW(
        [
            {"params": rest, "lr": config.learning_rate, "weight_decay": config.weight_decay},
            {"params": looked_up, "lr": config.vector_learning_rate, "weight_decay": 0.0},
            {"params": [model.log_scale], "lr": config.learning_rate, "weight_decay": 0.0},
        ],
        fused=True,
    )
