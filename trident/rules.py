"""The business rules of a release: `rules.toml`, read and checked."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from trident.errors import ReleaseError, reason

DEFAULT_RULES = Path(__file__).parent / "default_rules.toml"
DAY = 86_400


@dataclass(frozen=True)
class Rules:
    """The numbers behind the rules; `default_rules.toml` says what each means."""

    max_per_category: int
    pool: int
    pool_per_item: float
    strength: float
    days: float
    window_days: int
    max_items: int
    hide_history: bool

    @classmethod
    def read(cls, path: Path) -> Rules:
        """Read a `rules.toml`; raise ReleaseError naming the key that is missing, unknown or out of range."""
        try:
            tables = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ReleaseError(f"{path.name} cannot be read: {reason(error)}") from None
        given: dict[str, Any] = {}
        for table, keys in SECTIONS.items():
            section = tables.pop(table, None)
            if not isinstance(section, dict) or set(section) != set(keys):
                raise ReleaseError(f"{path.name}: [{table}]: expected the keys {', '.join(keys)}, got {section}")
            given |= section
        if tables:
            raise ReleaseError(f"{path.name}: unknown sections: {', '.join(tables)}")
        return cls(**given)

    def __post_init__(self) -> None:
        for name, (kind, least, most) in LIMITS.items():
            value = getattr(self, name)
            fits = type(value) in ((int, float) if kind is float else (kind,))
            if not fits or not least <= value <= most:
                raise ReleaseError(f"rules: {name}: expected {kind.__name__} from {least} to {most}, got {value!r}")

    @property
    def window(self) -> int:
        """Seconds within which a shown item is not shown again."""
        return self.window_days * DAY

    def pool_for(self, limit: int) -> int:
        """How many of the best candidates the rules look at for an answer of `limit` items."""
        return max(self.pool, math.ceil(self.pool_per_item * limit))


SECTIONS = {
    "diversity": ("max_per_category", "pool", "pool_per_item"),
    "freshness": ("strength", "days"),
    "dedup": ("window_days", "max_items", "hide_history"),
}
LIMITS = {
    "max_per_category": (int, 1, 1000),
    "pool": (int, 1, 500),
    "pool_per_item": (float, 1.0, 100.0),
    "strength": (float, 0.0, 10.0),
    "days": (float, 0.001, 36_500.0),
    "window_days": (int, 1, 365),
    "max_items": (int, 1, 100_000),
    "hide_history": (bool, False, True),
}
