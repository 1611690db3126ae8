"""Every error that Trident raises on purpose.

TridentError
├── InvalidInput       the caller sent something the contract does not allow
├── Unavailable        a part that is needed does not answer
├── ReleaseError       a release folder or a model repository is not what it should be
└── SetupError         this machine or environment lacks something; the text says what to do
"""

from __future__ import annotations

from pathlib import Path


class TridentError(Exception):
    """Base of all errors raised on purpose; its text is safe to show to a caller."""


class InvalidInput(TridentError):
    """Bad input: the text names the model, the tensor, what was expected and what came."""


class Unavailable(TridentError):
    """A part that the answer needs cannot be reached."""


class ReleaseError(TridentError):
    """A release or a model repository is damaged, incomplete or does not fit."""


class SetupError(TridentError):
    """Something is missing on this machine; the text says what to install or change."""


def reason(error: Exception) -> str:
    """Why a file could not be read, without the folder it lies in."""
    if isinstance(error, OSError) and error.strerror:
        name = Path(str(error.filename)).name if error.filename else ""
        return f"{name}: {error.strerror}" if name else error.strerror
    return str(error)
