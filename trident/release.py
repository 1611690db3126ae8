"""A release: everything that must agree, in one folder with `manifest.json`.

    manifest.json            numbers, vocabulary, search settings, metrics, SHA-256 of every other file
    user_tower/model.onnx    features and taste → user embedding
    index.faiss              item embeddings, id = row
    items/                   item columns, see trident.items
    users/                   user rows for Redis and the default row, see trident.users
    ranker/checkpoint.tl     the forest as a Treelite checkpoint (and model.txt, LightGBM's own)
    rules.toml               the business rules
    parts.json               which embedding space and feature schema each file was built for; only publish reads it

A version folder of the model repository holds the part of it that its model reads (`ModelContract.files`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from trident.errors import ReleaseError, reason
from trident.features.vocabulary import Vocabulary
from trident.items import ItemColumns

FORMAT = 2
MANIFEST = "manifest.json"
KINDS: Mapping[str, type] = {
    **dict.fromkeys(("created", "embedding_space", "feature_schema"), str),
    **dict.fromkeys(("as_of", "items", "users", "release"), int),
    **dict.fromkeys(("vocabulary", "search", "data", "metrics", "files"), dict),
    "golden": list,
}
"""What JSON holds under each name of a manifest."""
FINGERPRINT: Mapping[str, type] = {"bytes": int, "sha256": str}
"""What it holds of each file."""


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says."""

    created: str  # ISO 8601, UTC
    embedding_space: str  # the towers' id: an embedding of another space is never used
    feature_schema: str  # hash of feature names and vocabulary: a user row of another schema is never used
    as_of: int  # unix seconds: item and user rows are computed from events before this
    items: int
    users: int
    vocabulary: Mapping[str, Any]
    search: Mapping[str, Any]  # FAISS factory, nprobe, and the recall and latency measured at export
    data: Mapping[str, Any] = field(default_factory=dict)  # source, quality line, time windows of the splits
    metrics: Mapping[str, Any] = field(default_factory=dict)
    golden: tuple[Mapping[str, Any], ...] = ()  # requests with the answers this release must give
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # path → {"bytes", "sha256"}
    release: int = 1  # given by publish
    format: int = FORMAT

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read and check a manifest; raise ReleaseError when it is not one of this format."""
        try:
            content = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ReleaseError(f"{path.name} cannot be read: {reason(error)}") from None
        names = {f.name for f in fields(cls)}
        if not isinstance(content, dict) or set(content) != names:
            wrong = sorted(names.symmetric_difference(content)) if isinstance(content, dict) else type(content).__name__
            raise ReleaseError(f"{path.name}: missing or unknown fields: {wrong}")
        if content["format"] != FORMAT:
            raise ReleaseError(f"{path.name}: expected format {FORMAT}, got {content['format']}: build it again")
        for name, kind in KINDS.items():
            if type(content[name]) is not kind:
                raise ReleaseError(f"{path.name}: {name}: expected {kind.__name__}, got {str(content[name])[:80]!r}")
        return cls(**{**content, "golden": tuple(content["golden"]), "files": _stated(path.name, content["files"])})

    def write(self, path: Path) -> None:
        """Write this manifest as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")

    def numbered(self, release: int) -> Manifest:
        """The same manifest with the number that publish gave it."""
        return replace(self, release=release)


@dataclass(frozen=True)
class Release:
    """A release folder, or a version folder with a part of one."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path | str) -> Release:
        """Open `folder`, which must hold a manifest; the rest is mapped when it is asked for."""
        folder = Path(folder)
        if not (folder / MANIFEST).is_file():
            raise ReleaseError(f"no release in '{folder.name}': it has no {MANIFEST}; `trident build` makes one")
        return cls(folder, Manifest.read(folder / MANIFEST))

    @cached_property
    def items(self) -> ItemColumns:
        """The item columns, memory-mapped."""
        items = ItemColumns.open(self.folder / "items")
        if len(items) != self.manifest.items:
            raise ReleaseError(f"items: the manifest says {self.manifest.items}, the columns hold {len(items)}")
        return items

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The code lists of the categorical features."""
        return Vocabulary.from_dict(self.manifest.vocabulary)

    def verify(self) -> None:
        """Raise ReleaseError unless exactly the files of the manifest are there, each with its size and SHA-256."""
        found = {p for p in file_list(self.folder) if p != MANIFEST}
        expected = set(self.manifest.files)
        if found != expected:
            missing, unknown = sorted(expected - found), sorted(found - expected)
            raise ReleaseError(f"release files: missing {missing or 'none'}, unknown {unknown or 'none'}")
        for name, stated in self.manifest.files.items():
            actual = fingerprint(self.folder / name)
            for what in ("bytes", "sha256"):
                if actual[what] != stated[what]:
                    raise ReleaseError(f"{name}: expected {what} {stated[what]}, got {actual[what]}")


def _stated(manifest: str, files: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The table of files; raise ReleaseError unless each has a size and a digest."""
    for name, stated in files.items():
        if not isinstance(stated, dict) or {key: type(value) for key, value in stated.items()} != FINGERPRINT:
            raise ReleaseError(f"{manifest}: files: {name}: expected bytes and sha256, got {str(stated)[:80]!r}")
    return files


def file_list(folder: Path) -> list[str]:
    """Relative paths of all files below `folder`, sorted; what is neither file nor folder is refused, links as well."""
    paths = sorted(folder.rglob("*"))
    for path in paths:
        if path.is_symlink():
            raise ReleaseError(f"{path.relative_to(folder)}: a symbolic link has no place in a release")
        if not path.is_file() and not path.is_dir():
            raise ReleaseError(f"{path.relative_to(folder)}: expected a file or a folder, got something else")
    return [str(p.relative_to(folder)) for p in paths if p.is_file()]


def fingerprint(path: Path) -> dict[str, Any]:
    """Size in bytes and SHA-256 of one file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def fingerprints(folder: Path) -> dict[str, dict[str, Any]]:
    """The `files` table of a manifest: every file below `folder` but the manifest itself."""
    return {name: fingerprint(folder / name) for name in file_list(folder) if name != MANIFEST}
