"""The settings of a build."""

from __future__ import annotations

from dataclasses import dataclass, field

from trident.errors import InvalidInput
from trident_export.index_kinds import RECALL, checked
from trident_export.ranker import RankerConfig
from trident_export.samples import SampleConfig
from trident_export.split import SplitConfig
from trident_export.towers import TowerConfig


@dataclass(frozen=True)
class BuildConfig:
    """Sizes and settings of a build; each part checks its own."""

    split: SplitConfig = field(default_factory=SplitConfig)
    towers: TowerConfig = field(default_factory=TowerConfig)
    samples: SampleConfig = field(default_factory=SampleConfig)
    ranker: RankerConfig = field(default_factory=RankerConfig)
    tower_pairs: int = 200_000  # clicks that the towers learn from, at most
    recency: float | None = (
        0.25  # share of the newest clicks after which one counts half for the towers; None: all alike
    )
    newcomers: float = (
        0.2  # share of the clicks taught as if the user had just come, so that the towers greet new users
    )
    item_snapshots: int = 60  # moments between which item rows are only advanced, at most
    impressions: int = 5_000  # views that make the scores probabilities, and as many that judge them, at most
    test_users: int = 1_000  # users that are asked in the test window, at most
    recall: float = RECALL  # of the exact 500 nearest items, that the search must reach
    kinds: tuple[str, ...] = ()  # of index, by FAISS's factory: all are tried; none: what suits the number of items
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("tower_pairs", "item_snapshots", "impressions", "test_users"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"build: expected '{name}' of at least 1, got {getattr(self, name)}")
        if self.recency is not None and not self.recency > 0:
            raise InvalidInput(f"build: expected 'recency' above 0 or none, got {self.recency}")
        if not 0 <= self.newcomers < 1:
            raise InvalidInput(f"build: expected 'newcomers' in [0, 1), got {self.newcomers}")
        if not 0 < self.recall <= 1:
            raise InvalidInput(f"build: expected 'recall' in (0, 1], got {self.recall}")
        checked(self.kinds)
