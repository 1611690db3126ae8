"""Keys in Redis: a kind, then what qualifies it, then the user, all of them text."""

from __future__ import annotations


def key(kind: str, *parts: str) -> str:
    """The key "kind:part:part"; only the last part, the user, may hold colons, so that no two keys are the same.

    Raises TypeError for bytes: as text they would make the key "kind:b'user'", which nobody else reads.
    """
    for part in parts:
        if not isinstance(part, str):
            raise TypeError(f"key of {kind}: expected str, got {type(part).__name__} {part!r:.40}: decode it first")
    return ":".join((kind, *parts))
