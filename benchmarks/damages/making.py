"""A damaged release: hard links to a good one, a change, and as much of a seal as somebody may have put on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trident.release import MANIFEST, Manifest, fingerprints
from trident_export.writer import write_manifest

TOWER, INDEX, CHECKPOINT, TEXT = "user_tower/model.onnx", "index.faiss", "ranker/checkpoint.tl", "ranker/model.txt"
Change = Callable[[Path], None]


@dataclass(frozen=True)
class Damage:
    """One damaged release."""

    kind: str  # line of the table
    name: str
    change: Change
    reason: str  # regular expression that the refusal must hold

    def make(self, good: Path, folder: Path) -> None:
        """Make the damaged release `folder` from a good one."""
        linked(good, folder)
        self.change(folder)


def linked(good: Path, folder: Path) -> None:
    """Make `folder` with hard links to the files of `good`."""
    for path in sorted(good.rglob("*")):
        place = folder / path.relative_to(good)
        if path.is_dir():
            place.mkdir(parents=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, place)


def put(path: Path, content: bytes) -> None:
    """Write a file anew; the one that it was linked to stays as it is."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def redigested(change: Change) -> Change:
    """The change, and then digests that fit."""

    def changed(folder: Path) -> None:
        change(folder)
        manifest = Manifest.read(folder / MANIFEST)
        (folder / MANIFEST).unlink()
        replace(manifest, files=fingerprints(folder)).write(folder / MANIFEST)

    return changed


def sealed(change: Change, **fields: Any) -> Change:
    """The change, other fields in the manifest, and then all that a build writes last."""

    def changed(folder: Path) -> None:
        change(folder)
        manifest = Manifest.read(folder / MANIFEST)
        (folder / MANIFEST).unlink()
        write_manifest(folder, replace(manifest, **fields))

    return changed


def nothing(folder: Path) -> None:
    """Change nothing."""


def write(file: str, content: bytes) -> Change:
    """Write this content into a file."""
    return lambda folder: put(folder / file, content)
