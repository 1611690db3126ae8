"""Writing a release folder: beside its place first, and into it by a rename when everything is there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from trident.errors import ReleaseError
from trident.features.vocabulary import Vocabulary
from trident.items import blocked_words, write_items
from trident.release import MANIFEST, Manifest, fingerprints
from trident.rules import DEFAULT_RULES, Rules
from trident.users import Consumed, write_users
from trident_export.catalogue import Catalogue, Users
from trident_export.parts import PARTS, seal


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Yield a new folder beside `out` that takes its place at the end; after an error `out` is as it was.

    Raises ReleaseError when `out` is something else than a release, a free name or an empty folder.
    """
    check_place(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        yield draft
        _take_place(draft, out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def check_place(out: Path) -> None:
    """Raise ReleaseError unless a release may be written to `out`."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ReleaseError(f"'{out}' is no folder: choose another place for the release")
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise ReleaseError(f"'{out}' holds other files and no {MANIFEST}: choose another place for the release")


def _take_place(draft: Path, out: Path) -> None:
    draft.chmod(0o755)
    old = draft.with_name(f"{draft.name}.old")
    if out.exists():
        out.rename(old)
    try:
        draft.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


@dataclass(frozen=True)
class ServedRows:
    """Feature rows as of the release's `as_of`, in the order of the users and items of the dataset."""

    users: np.ndarray  # (u, 40) float32
    histories: np.ndarray  # (u, 50) int64 item rows, newest first, -1 pads
    history_times: np.ndarray  # (u, 50) int64 unix second of the newest event of each, 0 pads
    default_user: np.ndarray  # (40,) float32
    items: np.ndarray  # (n, 40) float32
    vectors: np.ndarray  # (n, 128) float16
    popular: np.ndarray  # (1 + regions, p) item rows as in the item columns
    consumed: Consumed | None = None  # None: nobody has consumed anything


def write_rows(folder: Path, users: Users, catalogue: Catalogue, vocabulary: Vocabulary, rows: ServedRows) -> None:
    """Write `items/` and `users/` of a release."""
    write_items(
        folder / "items",
        catalogue.ids,
        catalogue.titles,
        vocabulary.categories,
        features=rows.items,
        vectors=rows.vectors,
        category=catalogue.category,
        published_at=catalogue.published_at,
        age_limit=catalogue.age_limit,
        in_stock=catalogue.in_stock,
        flagged=catalogue.flagged,
        blocked=blocked_words(catalogue.blocked, len(vocabulary.regions)),
        popular=rows.popular,
    )
    write_users(
        folder / "users",
        users.ids,
        rows.default_user,
        rows.consumed,
        features=rows.users,
        region=users.region,
        age=users.age,
        history=rows.histories,
        history_at=rows.history_times,
    )


def write_rules(folder: Path, rules: Path | None) -> None:
    """Copy the rules of a release, or the default ones; raise ReleaseError when they are not valid."""
    source = rules or DEFAULT_RULES
    Rules.read(source)
    shutil.copyfile(source, folder / "rules.toml")


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write `parts.json` and the manifest, with all fingerprints, of a folder that is otherwise complete."""
    (folder / PARTS).unlink(missing_ok=True)
    return seal(folder, replace(manifest, files=fingerprints(folder)))
