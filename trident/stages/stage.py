"""What every stage is: opened from a release, called with arrays by tensor name, one row or more per user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trident.release import Release
from trident.requests import Tensors
from trident.stages.host import Host


class Stage(Protocol):
    """A step of the ensemble without anything of Triton."""

    @classmethod
    def open(cls, release: Release, host: Host) -> Callable[..., Tensors]:
        """Open the files it needs and keep what it needs of `host`; what has a `close` wants to be closed.

        What comes back computes the outputs of the stage's contract from its inputs, given by name; axis 0 is the user.
        """
