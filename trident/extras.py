"""Which extra of this distribution brings a module that is not there."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable

DISTRIBUTION = "trident-recommender"

PROVIDERS = {
    "duckdb": "ibis-framework",
    "faiss": "faiss-cpu",
    "google": "tritonclient",
    "grpc": "tritonclient",
    "hdrh": "hdrhistogram",
    "ibis": "ibis-framework",
    "pytriton": "nvidia-pytriton",
}
"""Modules whose distribution has another name, or which come with it."""

REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+).*?extra\s*==\s*['\"](?P<extra>[\w-]+)['\"]")


def extra_of(module: str) -> str | None:
    """The first extra that installs the top-level part of `module`; None when no extra does."""
    top = module.partition(".")[0]
    wanted = _normal(PROVIDERS.get(top, top))
    return next((extra for name, extra in _requirements() if name == wanted), None)


def advice(module: str) -> str | None:
    """What to do about the missing `module`, in one line; None when no extra brings it."""
    extra = extra_of(module)
    return None if extra is None else f"{module} is not installed: {install(extra)}"


def install(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def _requirements() -> Iterable[tuple[str, str]]:
    """Each requirement that belongs to an extra, as (normalised name, extra); `serve` first, for it is the smallest."""
    try:
        stated = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        stated = []
    found = [(_normal(m["name"]), m["extra"]) for m in map(REQUIREMENT.match, stated) if m]
    return sorted(found, key=lambda pair: pair[1] != "serve")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
