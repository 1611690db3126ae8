"""`parts.json` of a release: what belongs together, as the build knew it.

The digests of the manifest say that a file came whole. This table says that it belongs here: which embedding space and
feature schema each file was built for, and what the manifest said. A file that was taken from another release does not
belong, even when somebody has made the digests fit again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from trident.errors import ReleaseError, reason
from trident.release import MANIFEST, Manifest, fingerprint

PARTS = "parts.json"
FREE_FILES = ("rules.toml", "report.html")
"""Files that may be replaced without a new build; the golden requests still say what the answers are."""
FREE_FIELDS = ("release", "files", "format")
"""Fields of the manifest that publish sets, or that say of the files what they hold."""
SPACE, SCHEMA = "embedding_space", "feature_schema"
MADE_FOR: Mapping[str, tuple[str, ...]] = {
    "user_tower/": (SPACE, SCHEMA),
    "index.faiss": (SPACE,),
    "items/vectors.npy": (SPACE, SCHEMA),
    "items/": (SCHEMA,),
    "users/": (SCHEMA,),
    "ranker/": (SCHEMA,),
}
"""How paths begin → what such a file holds for; the first that fits."""


def seal(folder: Path, manifest: Manifest) -> Manifest:
    """Write the table for `manifest`, whose files were all built for its space and schema, and the manifest with it.

    The manifest has the fingerprints of all other files already.
    """
    files = {
        path: {"sha256": stated["sha256"], **{name: getattr(manifest, name) for name in made_for(path)}}
        for path, stated in manifest.files.items()
        if path not in (*FREE_FILES, PARTS)
    }
    table = {"manifest": dict(_digests(manifest)), "files": files}
    (folder / PARTS).write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", "utf-8")
    sealed = replace(manifest, files={**manifest.files, PARTS: fingerprint(folder / PARTS)})
    sealed.write(folder / MANIFEST)
    return sealed


def made_for(path: str) -> tuple[str, ...]:
    """What of a manifest a file holds for: some of SPACE and SCHEMA."""
    return next((names for start, names in MADE_FOR.items() if path.startswith(start)), ())


def _digests(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """The SHA-256 of each field that the build settles."""
    for name in (f.name for f in fields(manifest) if f.name not in FREE_FIELDS):
        as_read = json.loads(json.dumps(getattr(manifest, name)))
        text = json.dumps(as_read, sort_keys=True)
        yield name, hashlib.sha256(text.encode()).hexdigest()


def require_fitting(folder: Path, manifest: Manifest) -> None:
    """Raise ReleaseError unless manifest and files are those that were built together."""
    stated, files = _read(folder / PARTS)
    for path, entry in files.items():
        for name in made_for(path):
            if entry.get(name) != getattr(manifest, name):
                raise ReleaseError(
                    f"{path}: built for another {name.replace('_', ' ')}: "
                    f"expected {getattr(manifest, name)}, got {entry.get(name)}"
                )
    bound = {path for path in manifest.files if path not in (*FREE_FILES, PARTS)}
    if bound != set(files):
        raise ReleaseError(f"{PARTS}: expected the files of the manifest, differs by {sorted(bound ^ set(files))}")
    for path, entry in files.items():
        _same(f"{path}: not the file that was built for this release", entry, "sha256", manifest.files[path]["sha256"])
    for name, digest in _digests(manifest):
        _same(f"{MANIFEST}: {name}: not what the build wrote", stated, name, digest)


def _same(what: str, table: Mapping[str, Any], name: str, got: str) -> None:
    if table.get(name) != got:
        raise ReleaseError(f"{what}: expected sha256 {table.get(name)}, got {got}")


def _read(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    if not path.is_file():
        raise ReleaseError(f"{path.name} is missing: expected what the files belong to, got nothing: build it again")
    try:
        table = json.loads(path.read_text("utf-8"))
        stated, files = table["manifest"], table["files"]
        if isinstance(stated, dict) and isinstance(files, dict) and all(isinstance(e, dict) for e in files.values()):
            return stated, files
    except (OSError, ValueError, RecursionError) as error:
        raise ReleaseError(f"{path.name} cannot be read: {reason(error)}") from None
    except (KeyError, TypeError):
        pass
    raise ReleaseError(f"{path.name}: expected tables of the manifest and of the files, got something else")
