"""Settings of the training of the towers."""

from __future__ import annotations

from dataclasses import dataclass

from trident.errors import InvalidInput

COUNTS = ("epochs", "patience", "batch_size", "validation_pairs")
POSITIVE = ("temperature", "learning_rate", "vector_learning_rate")
SHARES = ("dropout", "vector_dropout", "history_dropout")
NOT_NEGATIVE = ("uniform_candidates", "weight_decay", "correction", "seed")


@dataclass(frozen=True)
class TowerConfig:
    """Settings of the training; the defaults were chosen on MovieLens 100K and a synthetic marketplace."""

    epochs: int = 10  # at most
    patience: int = 3  # epochs without a better validation recall before it stops
    batch_size: int = 1024  # pairs, whose items are each other's candidates
    uniform_candidates: int = 256  # further candidates per batch, drawn evenly over the catalogue
    learning_rate: float = 1e-3  # at the start; falls to zero along a cosine
    vector_learning_rate: float = 5e-3  # of the item vectors, which see a gradient less often
    weight_decay: float = 0.01  # of the networks
    temperature: float = 0.2  # at the start; learned
    dropout: float = 0.2  # of hidden units
    vector_dropout: float = 0.15  # chance that an item's own vector is hidden in a batch
    history_dropout: float = 0.1  # chance that a user's history is hidden in a batch
    correction: float = 1.0  # strength of the frequency correction: 1 keeps popularity in the score, 0 takes it out
    recall_at: int | None = None  # k of the validation recall; None for min(500, N / 10)
    validation_pairs: int = 20_000  # at most; more are sampled down
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = {n: v for n in COUNTS if (v := getattr(self, n)) < 1}
        wrong |= {n: v for n in POSITIVE if (v := getattr(self, n)) <= 0}
        wrong |= {n: v for n in SHARES if not 0 <= (v := getattr(self, n)) < 1}
        wrong |= {n: v for n in NOT_NEGATIVE if (v := getattr(self, n)) < 0}
        if wrong or (self.recall_at is not None and self.recall_at < 1):
            raise InvalidInput(
                f"tower config: {', '.join(COUNTS)} and recall_at are 1 or more, {', '.join(POSITIVE)} above 0, "
                f"{', '.join(SHARES)} in [0, 1), {', '.join(NOT_NEGATIVE)} 0 or more; got {wrong or self.recall_at}"
            )
