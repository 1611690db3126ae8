"""The business rules of a release as numbers and names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trident.errors import ReleaseError
from trident.rules.entries import Boost, Pin, check_entries
from trident.rules.file import SECTIONS, read_fields

DEFAULT_RULES = Path(__file__).parent / "default_rules.toml"
DAY = 86_400


@dataclass(frozen=True)
class Rules:
    """What `rules.toml` says; `default_rules.toml` and docs/rules.md say what each means. Days are days of 24 hours."""

    max_per_category: int = 3
    max_in: Mapping[str, int] = field(default_factory=dict)  # category → its own cap
    pool: int = 50
    pool_per_item: float = 2.5
    diversity: float = 0.0  # strength of maximal marginal relevance
    strength: float = 0.1  # of freshness
    days: float = 30.0  # after which the freshness boost has shrunk to 1/e
    new_share: float = 0.0
    new_days: float = 7.0
    window_days: int = 7
    max_items: int = 2000
    hide_history: bool = True
    consumed_events: tuple[str, ...] = ("purchase",)
    consumed_days: int = 0  # 0: for ever
    never_items: tuple[str, ...] = ()
    never_categories: tuple[str, ...] = ()
    pinned: tuple[Pin, ...] = ()
    boosted: tuple[Boost, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Rules:
        """Read a `rules.toml`, in which a key that is left out keeps its default.

        Raises ReleaseError that names file, key, what was expected and what came.
        """
        fields = read_fields(path)
        try:
            return cls(**fields)
        except ReleaseError as error:
            raise ReleaseError(f"{path.name}: {error}") from None

    def __post_init__(self) -> None:
        for section, keys in SECTIONS.items():
            for key, (name, kind) in keys.items():
                if name != "half_life_days" and not kind.takes(value := getattr(self, name)):
                    raise ReleaseError(f"rules: [{section}] {key}: expected {kind}, got {value!r}")
        check_entries(self.pinned, self.boosted)

    @property
    def window(self) -> int:
        """Seconds within which a shown item is not shown again."""
        return self.window_days * DAY

    def pool_for(self, limit: int) -> int:
        """How many of the best candidates the rules look at for an answer of `limit` items."""
        return max(self.pool, math.ceil(self.pool_per_item * limit))

    def new_needed(self, limit: int) -> int:
        """How many items of an answer of `limit` must be new, where there are so many."""
        return math.ceil(self.new_share * limit - 1e-9)
