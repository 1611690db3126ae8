"""Where the model repository's sources and the stand-in backends lie: in a checkout or in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from trident.errors import SetupError

PACKAGE = Path(__file__).resolve().parent
DEFAULT_REPOSITORY = Path("build/repository")
"""The model repository that `trident publish` fills and `trident serve` serves without a flag."""


def model_repository() -> Path:
    """The folder with `config.pbtxt` and `model.py` of every model, without any release."""
    return _shipped("model_repository")


def backends() -> Path:
    """The folder with the Python-based stand-ins: `onnxruntime/model.py` and `fil/model.py`."""
    return _shipped("backends")


def _shipped(name: str) -> Path:
    """The installed copy `trident/_name` when this is a wheel, else `name` in the root of the checkout."""
    candidates = (PACKAGE / f"_{name}", PACKAGE.parent / name)
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise SetupError(f"the folder '{name}' is missing from this installation: reinstall trident-recommender")
