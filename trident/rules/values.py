"""The kinds of values in a rules file: what each one takes, and what it says is expected."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, Protocol

FOREVER = 1 << 62  # unix seconds


class Kind(Protocol):
    """One kind of value; its text says what is expected."""

    def takes(self, value: Any) -> bool:
        """Whether this is such a value."""


@dataclass(frozen=True)
class Whole:
    """A whole number within limits."""

    least: int
    most: int

    def __str__(self) -> str:
        return f"a whole number from {self.least} to {self.most}"

    def takes(self, value: Any) -> bool:
        """Whether this is such a value; true and false are no numbers."""
        return type(value) is int and self.least <= value <= self.most


@dataclass(frozen=True)
class Number:
    """A number within limits."""

    least: float
    most: float

    def __str__(self) -> str:
        return f"a number from {self.least:g} to {self.most:g}"

    def takes(self, value: Any) -> bool:
        """Whether this is such a value; NaN is not."""
        return type(value) in (int, float) and self.least <= value <= self.most


@dataclass(frozen=True)
class Flag:
    """Yes or no."""

    def __str__(self) -> str:
        return "true or false"

    def takes(self, value: Any) -> bool:
        """Whether this is such a value."""
        return type(value) is bool


@dataclass(frozen=True)
class Name:
    """An item id or a category."""

    def __str__(self) -> str:
        return "a text that is not empty"

    def takes(self, value: Any) -> bool:
        """Whether this is such a value."""
        return isinstance(value, str) and value != ""


@dataclass(frozen=True)
class Names:
    """A list of distinct names, of `among` where that is given."""

    among: Collection[str] = ()

    def __str__(self) -> str:
        return f"a list of distinct names{' of ' + ', '.join(self.among) if self.among else ''}"

    def takes(self, value: Any) -> bool:
        """Whether this is such a value."""
        return (
            isinstance(value, list | tuple)
            and all(Name().takes(v) and (not self.among or v in self.among) for v in value)
            and len(set(value)) == len(value)
        )


@dataclass(frozen=True)
class Table:
    """A table of names with a value each."""

    of: Kind

    def __str__(self) -> str:
        return f"a table from names to {self.of}"

    def takes(self, value: Any) -> bool:
        """Whether this is such a value."""
        return isinstance(value, Mapping) and all(Name().takes(k) and self.of.takes(v) for k, v in value.items())


@dataclass(frozen=True)
class End:
    """The moment at which an entry ends."""

    def __str__(self) -> str:
        return "a date (its whole day in UTC counts) or a date and time with a time zone"

    def takes(self, value: Any) -> bool:
        """Whether this is such a value."""
        if isinstance(value, datetime):
            return value.tzinfo is not None
        return isinstance(value, date)

    @staticmethod
    def second(value: date) -> int:
        """The first unix second at which the entry does not hold any more."""
        if isinstance(value, datetime):
            return int(value.timestamp())
        return int(datetime.combine(value + timedelta(days=1), time(), timezone.utc).timestamp())
