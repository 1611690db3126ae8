"""A canary: another release that a share of the users see, as the configs of `recommend_canary` and `recommend_ab` say.

The config of `recommend_canary` is the one place that says whether a canary runs; that of the router follows it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from trident.contract import Text
from trident.errors import ReleaseError
from trident.experiment import as_float32

NAME = Text(1, 64, "[A-Za-z0-9._-]+", "1 to 64 letters, digits, '.', '_' and '-'")


@dataclass(frozen=True)
class Canary:
    """`share` (0 to 1) of the users, dealt by the name of the experiment, are answered by `release`.

    `since` and `who` tell who started it, and when. Raises ReleaseError for a name or a share that cannot be.
    """

    experiment: str
    share: float
    release: int
    since: str = ""
    who: str = ""

    def __post_init__(self) -> None:
        if problem := NAME.problem(self.experiment.encode("utf-8", "surrogatepass")):
            raise ReleaseError(f"experiment: expected {NAME.expected()}, got {problem}")
        if not (math.isfinite(self.share) and 0 <= self.share <= 1):
            raise ReleaseError(f"share: expected 0 % to 100 %, got {100 * self.share:g} %")
        object.__setattr__(self, "share", as_float32(self.share))

    def parameters(self) -> dict[str, str]:
        """What the configs say of it."""
        return {
            "experiment": self.experiment,
            "share": f"{self.share:.9g}",  # exactly this float32
            "release": str(self.release),
            "since": self.since,
            "who": self.who,
        }

    @classmethod
    def of_parameters(cls, parameters: Mapping[str, str]) -> Canary | None:
        """Read what a config says; None where it names no experiment. Raises ReleaseError for what is no canary."""
        if "experiment" not in parameters:
            return None
        try:
            share, release = float(parameters["share"]), int(parameters["release"])
        except (KeyError, ValueError):
            raise ReleaseError(f"the parameters of a canary cannot be read: {dict(parameters)}") from None
        return cls(parameters["experiment"], share, release, parameters.get("since", ""), parameters.get("who", ""))
