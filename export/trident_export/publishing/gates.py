"""Quality gates: what a release must reach, beside the running one, to take its place; see `default_gates.toml`."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from trident.errors import InvalidInput, reason

DEFAULT_GATES = Path(__file__).parent / "default_gates.toml"


@dataclass(frozen=True)
class Limit:
    """What a number of the file may be."""

    least: float
    most: float = math.inf
    whole: bool = False

    def takes(self, value: Any) -> bool:
        """Whether a value may stand here."""
        kinds = (int,) if self.whole else (int, float)
        return type(value) in kinds and self.least <= value <= self.most

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.least:g}" + (f" to {self.most:g}" if math.isfinite(self.most) else "")


KEYS: Mapping[str, Mapping[str, Limit]] = {
    "recall": {"least": Limit(0, 1), "queries": Limit(1, 1000, whole=True)},
    "own_items": {"least": Limit(-1, 1)},
    "auc": {"most_lost": Limit(0, 1)},
    "ndcg": {"most_lost": Limit(0, 1)},
    "latency": {"most_times": Limit(1), "always_ms": Limit(0)},
    "changed": {"least": Limit(0, 1), "most": Limit(0, 1), "users": Limit(1, 1000, whole=True)},
    "items": {"most_lost": Limit(0, 1)},
}
"""Section → key → what it takes."""

Gates = Mapping[str, Mapping[str, float]]
"""Section → key → number; every key of KEYS."""


def read_gates(path: Path | None = None) -> Gates:
    """The gates of a TOML file; what it leaves out, or all without a file, is as in `default_gates.toml`.

    Raises InvalidInput for a file that cannot be read, an unknown key, and a number that is none or out of range.
    """
    default = complete(_tables(DEFAULT_GATES), {}, DEFAULT_GATES.name)
    return default if path is None else complete(_tables(path), default, path.name)


def complete(given: Mapping[str, Any], default: Gates, name: str) -> Gates:
    """The sections of `default` with what `given` sets, checked; `name` stands in the texts of InvalidInput."""
    if unknown := sorted(set(given) - set(KEYS)):
        raise InvalidInput(f"{name}: unknown section: expected some of {', '.join(KEYS)}, got {unknown[0]!r}")
    gates = {section: _section(f"{name}: [{section}]", section, given, default) for section in KEYS}
    if gates["changed"]["least"] > gates["changed"]["most"]:
        raise InvalidInput(f"{name}: [changed]: expected least up to most, got {dict(gates['changed'])}")
    return gates


def _section(where: str, section: str, given: Mapping[str, Any], default: Gates) -> dict[str, float]:
    keys, table = KEYS[section], given.get(section, {})
    if not isinstance(table, Mapping):
        raise InvalidInput(f"{where}: expected a table with some of {', '.join(keys)}, got {table!r}")
    if unknown := sorted(set(table) - set(keys)):
        raise InvalidInput(f"{where}: unknown key: expected some of {', '.join(keys)}, got {unknown[0]!r}")
    values = {**default.get(section, {}), **table}
    for key, limit in keys.items():
        if not limit.takes(values.get(key)):
            raise InvalidInput(f"{where} {key}: expected {limit}, got {values.get(key)!r}")
    return values


def _tables(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path.name} cannot be read: {reason(error)}") from None


@dataclass(frozen=True)
class Check:
    """One gate: what it asks for and what came."""

    name: str
    limit: float | str | None  # None: not compared
    got: float | None
    running: float | None  # the same of the running release
    passed: bool
    note: str = ""  # why it was not compared, or passed all the same

    def as_dict(self) -> dict[str, Any]:
        """The check as JSON can hold it, numbers to six digits."""
        return {name: _short(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Metric:
    """A metric of a manifest and the upper end of its 95 % interval, None where there is none."""

    value: float | None
    high: float | None = None

    @classmethod
    def of(cls, value: Any, interval: Any) -> Metric:
        """What a manifest holds, whatever it is."""
        high = interval[1] if isinstance(interval, list | tuple) and len(interval) == 2 else None
        return cls(value if _is_number(value) else None, high if _is_number(high) else None)


def at_least(name: str, got: float, limit: float, running: float | None = None) -> Check:
    """Passed when `got` reaches the limit; NaN never does."""
    return Check(name, limit, got, running, bool(got >= limit))


def at_most(name: str, got: float, limit: float, running: float | None = None) -> Check:
    """Passed when `got` stays within the limit; NaN never does."""
    return Check(name, limit, got, running, bool(got <= limit))


def within(name: str, got: float, least: float, most: float) -> Check:
    """Passed when `got` lies within both limits."""
    return Check(name, f"{least:g} to {most:g}", got, None, bool(least <= got <= most))


def not_compared(name: str, why: str, got: float | None = None) -> Check:
    """A gate that has nothing to compare with lets everything pass, and says so."""
    return Check(name, None, got, None, True, f"not compared: {why}")


def compared(name: str, new: Metric, running: Metric, most_lost: float) -> Check:
    """A metric of both releases: passed unless it is lower by more than `most_lost`, and by more than chance.

    A metric of few users is uncertain: as long as its interval reaches the limit, nothing is proved.
    """
    if new.value is None or running.value is None:
        which = "the release" if new.value is None else "the running release"
        return not_compared(name, f"{which} has no such metric", new.value)
    check = at_least(name, new.value, running.value - most_lost, running.value)
    if check.passed or new.high is None or new.high < running.value - most_lost:
        return check
    return replace(check, passed=True, note=f"within chance: its 95 % interval reaches {new.high:.4g}")


def _short(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) and math.isfinite(value) else value


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
