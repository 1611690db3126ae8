"""What every stage is: opened from a release, called with arrays by tensor name, one row or more per user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trident.contract import ModelContract
from trident.release import Release
from trident.requests import Tensors

Infer = Callable[[ModelContract, Tensors], Tensors]
"""Runs another model of the same release; raises Unavailable when it cannot."""


class Stage(Protocol):
    """A step of the ensemble without anything of Triton."""

    @classmethod
    def open(cls, release: Release, infer: Infer) -> Callable[..., Tensors]:
        """Open the files it needs; `infer` is kept by stages that ask another model.

        What comes back computes the outputs of the stage's contract from its inputs, given by name; axis 0 is the user.
        """
