"""The code lists of the categorical features: a string's code is its position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from trident.contract import DEVICES
from trident.errors import ReleaseError

LARGEST = 4_096
"""Most entries of one list; rarer values count as unknown."""
UNKNOWN = -1


@dataclass(frozen=True)
class Vocabulary:
    """Code lists by kind: each holds distinct strings, most frequent first. `devices` is fixed by the contract."""

    categories: tuple[str, ...] = ()
    subcategories: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    account_types: tuple[str, ...] = ()

    def values(self, kind: str) -> tuple[str, ...]:
        """The strings of one kind in the order of their codes; KeyError for an unknown kind."""
        return tuple(self._codes[kind])

    def code(self, kind: str, value: str | None) -> int:
        """Code of one string, -1 for None and for a string that is not in the list."""
        return self._codes[kind].get(value, UNKNOWN)  # type: ignore[arg-type]

    def codes(self, kind: str, values: Iterable[str | None]) -> np.ndarray:
        """Codes of n strings: (n,) int64, -1 unknown."""
        table = self._codes[kind]
        return np.array([table.get(value, UNKNOWN) for value in values], np.int64)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, list[str]]:
        """The lists as the manifest keeps them."""
        return {name: list(values) for name, values in asdict(self).items()}

    @classmethod
    def from_dict(cls, lists: Mapping[str, Any]) -> Vocabulary:
        """Read what `to_dict` wrote; raise ReleaseError when a list is missing, unknown or not of distinct strings."""
        names = {f.name for f in fields(cls)}
        if set(lists) != names:
            raise ReleaseError(f"vocabulary: expected the lists {sorted(names)}, got {sorted(lists)}")
        for name, values in lists.items():
            if len(set(map(str, values))) != len(values) or not all(isinstance(v, str) for v in values):
                raise ReleaseError(f"vocabulary: list '{name}' must hold distinct strings")
        return cls(**{name: tuple(values) for name, values in lists.items()})

    @cached_property
    def _codes(self) -> dict[str, dict[str, int]]:
        lists = {"devices": DEVICES, **{f.name: getattr(self, f.name) for f in fields(self)}}
        return {kind: {value: code for code, value in enumerate(values)} for kind, values in lists.items()}


def ranked(counts: Mapping[str, int], largest: int = LARGEST) -> tuple[str, ...]:
    """Strings by falling count, then by name, at most `largest`: one list of a vocabulary."""
    return tuple(sorted(counts, key=lambda value: (-counts[value], value))[:largest])
