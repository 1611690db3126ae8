"""The user rows: of one length, with ids, values within the vocabulary, and histories of items that there are."""

from __future__ import annotations

import numpy as np

from trident.errors import ReleaseError
from trident.features.registry import USER
from trident.release import Release
from trident.strings import StringColumn
from trident.users import COLUMNS, HISTORY, OLDEST, UserRows, read_default
from trident_export.publishing.soundness.numbers import require_features, require_range, require_shape
from trident_export.publishing.soundness.strings import require_ids

LATEST = 4_102_444_800  # unix seconds


def require_users(release: Release) -> None:
    """Raise ReleaseError unless the columns are whole, agree with each other and fit the manifest and the items."""
    folder, n = release.folder / "users", release.manifest.users
    items, vocabulary = release.manifest.items, release.vocabulary
    require_ids("users/ids", StringColumn.open(folder, "ids"), n)
    users = UserRows.open(folder)
    wide = {"features": len(USER), "history": HISTORY, "history_at": HISTORY}
    for name, dtype in COLUMNS.items():
        require_shape(f"users/{name}", getattr(users, name), (n, wide[name]) if name in wide else (n,), dtype)
    require_features("users/features", users.features, USER, vocabulary)
    require_features("users/default", read_default(folder / "default.npy")[None], USER, vocabulary)
    require_range("users/region", users.region, -1, len(vocabulary.regions) - 1)
    require_range("users/age", users.age, -1, OLDEST)
    require_range("users/history", users.history, -1, items - 1)
    require_range("users/history_at", users.history_at, 0, LATEST)
    consumed = users.consumed
    if n and (consumed.ends[0] < 0 or (np.diff(consumed.ends) < 0).any()):
        raise ReleaseError("users/consumed_ends: expected numbers that rise, got others")
    require_range("users/consumed_items", consumed.items, 0, items - 1)
    require_range("users/consumed_times", consumed.times, 0, LATEST)
