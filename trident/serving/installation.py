"""What a tritonserver is started from: the wheel on a laptop, or the official container."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class Installation(Protocol):
    """Where the parts of a server lie, and where it listens."""

    @property
    def server(self) -> Path:
        """The executable."""

    @property
    def address(self) -> str:
        """The address on which it listens."""

    @property
    def options(self) -> Sequence[str]:
        """Further options of the executable."""

    def lay_out_backends(self, folder: Path) -> Path:
        """The folder of the backends; what has to be made for it is made in `folder`."""

    def environment(self) -> dict[str, str]:
        """What the server and its Python processes need to find their libraries and packages."""
