"""A manifest that somebody has edited."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from damages.making import Change, Damage, nothing, put, sealed
from trident.release import MANIFEST


def edited(good: Path) -> Iterator[Damage]:
    """Each field missing, of another type and of another value, with and without new seals."""
    kind, content = "manifest edited", json.loads((good / MANIFEST).read_text())
    for field, value in content.items():
        if field == "release":  # given by publish
            continue
        yield Damage(kind, f"without {field}", _manifest(field), f"missing or unknown fields.*{field}")
        for wrong in (None, [1], {"a": 1}, "x" * 16, -1, 1.5):
            if type(wrong) is not type(value):
                about = "expected format" if field == "format" else f"{MANIFEST}: {field}: expected"
                yield Damage(kind, f"{field} = {wrong!r}", _manifest(field, wrong), about)
    yield Damage(kind, "one field more", _manifest("more", 1), "missing or unknown fields.*more")
    others: dict[str, list[Any]] = {
        "created": ["2020-01-01T00:00:00+00:00", "yesterday"],
        "embedding_space": ["0123456789abcdef", "none"],
        "feature_schema": ["0123456789abcdef", "none"],
        "as_of": [content["as_of"] + 1, 0, -5],
        "items": [content["items"] - 1, content["items"] + 1, 0],
        "users": [content["users"] - 1, content["users"] + 1, -1],
        "search": [{**content["search"], "nprobe": n} for n in (0, 2, "many")] + [{}],
        "vocabulary": [{}, {**content["vocabulary"], "regions": content["vocabulary"]["regions"][::-1]}],
        "data": [{}],
        "metrics": [{}],
        "golden": [[], content["golden"][1:], [*content["golden"], {"user_id": "u1"}]],
    }
    for field, values in others.items():
        for number, wrong in enumerate(values):
            named = f"{MANIFEST}: {field}|built for another {field.replace('_', ' ')}|vocabulary|search|golden"
            yield Damage(kind, f"{field}, value {number}", _manifest(field, wrong), named)
    yield from _edited_and_sealed(content)
    for name, stated in list(content["files"].items())[::6]:
        wrong = {**content["files"], name: {**stated, "sha256": "0" * 64}}
        yield Damage(kind, f"digest of {name}", _manifest("files", wrong), f"{re.escape(name)}: expected sha256")
        wrong = {**content["files"], name: {"bytes": 1}}
        yield Damage(kind, f"entry of {name}", _manifest("files", wrong), f"files: {re.escape(name)}: expected bytes")
        wrong = {**content["files"], f"../{name}": stated}
        yield Damage(kind, f"file outside: {name}", _manifest("files", wrong), r"missing \['\.\./")


def _edited_and_sealed(content: dict[str, Any]) -> Iterator[Damage]:
    kind, golden = "manifest edited, everything sealed anew", content["golden"]
    regions = {**content["vocabulary"], "regions": content["vocabulary"]["regions"][::-1]}
    swapped = [{**golden[0], "item_id": golden[0]["item_id"][::-1]}, *golden[1:]]
    scored = [{**golden[0], "score": [2 * s for s in golden[0]["score"]]}, *golden[1:]]
    for name, fields, about in (
        ("feature schema", {"feature_schema": "0123456789abcdef"}, "feature_schema: expected"),
        ("embedding space", {"embedding_space": "none"}, "embedding_space: expected"),
        ("vocabulary in another order", {"vocabulary": regions}, "feature_schema: expected"),
        ("one item less", {"items": content["items"] - 1}, "items"),
        ("one item more", {"items": content["items"] + 1}, "items"),
        ("one user more", {"users": content["users"] + 1}, "users"),
        ("one user less", {"users": content["users"] - 1}, "users"),
        ("another time", {"as_of": content["as_of"] + 40 * 86_400}, "golden request"),
        ("no time", {"as_of": 0}, "as_of: expected"),
        ("nprobe 0", {"search": {**content["search"], "nprobe": 0}}, "search.nprobe: expected"),
        ("nprobe above the lists", {"search": {**content["search"], "nprobe": 10**6}}, "nprobe of at most"),
        ("no golden requests", {"golden": ()}, "expected golden requests, got none"),
        ("golden items in another order", {"golden": tuple(swapped)}, "golden request 1, user .*: expected item"),
        ("golden scores twice as high", {"golden": tuple(scored)}, "golden request 1, user .*: expected item"),
        ("a golden request without answer", {"golden": ({**golden[0], "item_id": [], "score": []},)}, "got none"),
    ):
        yield Damage(kind, name, sealed(nothing, **fields), about)


def _manifest(field: str, *value: Any) -> Change:
    def change(folder: Path) -> None:
        content = json.loads((folder / MANIFEST).read_text())
        content.pop(field, None)
        put(folder / MANIFEST, json.dumps({**content, **({field: value[0]} if value else {})}).encode())

    return change
