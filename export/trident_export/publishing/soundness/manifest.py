"""What the manifest says, against itself and the files beside it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from trident.contract import TIMESTAMP, Range
from trident.errors import ReleaseError
from trident.features.registry import schema_hash
from trident.features.vocabulary import LARGEST
from trident.release import MANIFEST, Release

HEX = "[0-9a-f]{16}"
SEARCH = {"factory": str, "nprobe": int, "k": int, "recall": float}
FOLDERS = ("items/", "users/", "ranker/", "user_tower/")


def require_manifest(release: Release) -> None:
    """Raise ReleaseError unless what the manifest says can be true and its schema is that of its vocabulary."""
    manifest = release.manifest
    for name in ("embedding_space", "feature_schema"):
        if not re.fullmatch(HEX, getattr(manifest, name)):
            _wrong(name, "16 hex digits", getattr(manifest, name))
    if not _is_time(manifest.created):
        _wrong("created", "a time of ISO 8601", manifest.created)
    latest = TIMESTAMP.rule.most if isinstance(TIMESTAMP.rule, Range) else 0
    for name, least, most in (("as_of", 1, latest), ("items", 1, 2**31), ("users", 0, 2**31), ("release", 1, 2**31)):
        if not least <= getattr(manifest, name) <= most:
            _wrong(name, f"{least} to {most}", getattr(manifest, name))
    _require_search(manifest.search)
    _require_files(release)
    if longest := max(map(len, manifest.vocabulary.values()), default=0) > LARGEST:
        _wrong("vocabulary", f"lists of at most {LARGEST}", longest)
    hashed = schema_hash(release.vocabulary)
    if manifest.feature_schema != hashed:
        _wrong("feature_schema", f"{hashed}, as these features and this vocabulary have it", manifest.feature_schema)


def _require_search(search: Any) -> None:
    for name, kind in SEARCH.items():
        value = search.get(name)
        if type(value) is not kind and not (kind is float and type(value) is int):
            _wrong(f"search.{name}", kind.__name__, value)
    for name in ("nprobe", "k"):
        if search[name] < 1:
            _wrong(f"search.{name}", "1 or more", search[name])
    if not 0 <= search["recall"] <= 1:
        _wrong("search.recall", "0 to 1", search["recall"])


def _require_files(release: Release) -> None:
    for path in release.manifest.files:
        inside = next((folder for folder in FOLDERS if path.startswith(folder)), "")
        if "/" in path.removeprefix(inside):
            _wrong("files", f"files at the top or in one of {', '.join(FOLDERS)}", path)


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text) is not None
    except ValueError:
        return False


def _wrong(name: str, expected: str, got: object) -> None:
    raise ReleaseError(f"{MANIFEST}: {name}: expected {expected}, got {str(got)[:80]!r}")
