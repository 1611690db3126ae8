"""What was set for one item beside what its release says, and the text that it is in Redis.

    {"at": 1795430400, "in_stock": false, "flagged": true, "blocked": {"FR": true, "DE": false}}

`at` is in unix seconds. What is not named stays as in the release.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from trident.errors import InvalidInput

LONGEST = 16_384
"""Bytes of a text at most: more than every two-letter region takes."""
REGION = re.compile("[A-Z]{2}")


@dataclass(frozen=True)
class LiveState:
    """What is set for one item; None, and a region that `blocked` does not name: as in the release."""

    in_stock: bool | None = None
    flagged: bool | None = None
    blocked: Mapping[str, bool] = field(default_factory=dict)  # region → whether it is blocked there
    at: int = 0  # unix seconds of the last change

    def __post_init__(self) -> None:
        """Raise InvalidInput for a value of another type or for what is no region."""
        for name in ("in_stock", "flagged"):
            if getattr(self, name) not in (None, True, False):
                raise InvalidInput(f"{name}: expected true or false, got {getattr(self, name)!r}")
        if not isinstance(self.at, int):
            raise InvalidInput(f"at: expected unix seconds, got {self.at!r}")
        if not isinstance(self.blocked, Mapping):
            raise InvalidInput(f"blocked: expected true or false by region, got {self.blocked!r}")
        for region, blocked in self.blocked.items():
            if not REGION.fullmatch(region):
                raise InvalidInput(f"region: expected a two-letter ISO 3166 country code in capitals, got {region!r}")
            if not isinstance(blocked, bool):
                raise InvalidInput(f"blocked in {region}: expected true or false, got {blocked!r}")

    @property
    def changes_nothing(self) -> bool:
        """Whether everything is as in the release."""
        return self.in_stock is None and self.flagged is None and not self.blocked

    def then(self, later: LiveState) -> LiveState:
        """This state after a later change: what the change does not name stays as it is."""
        return LiveState(
            self.in_stock if later.in_stock is None else later.in_stock,
            self.flagged if later.flagged is None else later.flagged,
            {**self.blocked, **later.blocked},
            later.at,
        )

    def text(self) -> str:
        """The text in Redis."""
        named = {"at": self.at, "in_stock": self.in_stock, "flagged": self.flagged, "blocked": dict(self.blocked)}
        return json.dumps({name: value for name, value in named.items() if value not in (None, {})})

    @classmethod
    def read(cls, text: bytes) -> LiveState:
        """Read what `text` wrote; raise InvalidInput for anything else."""
        if len(text) > LONGEST:
            raise InvalidInput(f"live state: expected at most {LONGEST} bytes, got {len(text)}")
        try:
            named = json.loads(text)
        except (ValueError, RecursionError):
            raise InvalidInput(f"live state: expected JSON, got {text[:40]!r}") from None
        if not isinstance(named, dict) or not set(named) <= set(cls.__dataclass_fields__):
            raise InvalidInput(f"live state: expected {', '.join(cls.__dataclass_fields__)}, got {text[:40]!r}")
        return cls(**named)


HIDDEN = LiveState(flagged=True)
"""What stands in for a state that cannot be read: nobody may see an item of which that is not known."""


def readable(text: bytes) -> LiveState:
    """The state that `text` says, or HIDDEN."""
    try:
        return LiveState.read(text)
    except InvalidInput:
        return HIDDEN
