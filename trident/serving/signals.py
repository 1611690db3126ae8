"""SIGINT and SIGTERM as one exception, once; while it is handled, further ones are ignored."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Somebody wants us to stop; no `except Exception` gets in the way."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted in the block at the first signal, and let the clean-up after it run undisturbed."""
    previous = {number: signal.signal(number, _interrupt) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    for stopping in STOPPING:
        signal.signal(stopping, signal.SIG_IGN)
    raise Interrupted
