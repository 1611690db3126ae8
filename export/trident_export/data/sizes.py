"""How large synthetic data are when nobody says otherwise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Sizes and seed of a synthetic dataset; `events` counts planted defects too."""

    users: int = 2_000
    items: int = 10_000
    events: int = 300_000
    days: int = 60
    seed: int = 7


DEFAULT = Sizes()
