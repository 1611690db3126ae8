"""Files that are cut, flipped, missing, of another release, links, or rules that do not hold."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from damages.making import CHECKPOINT, INDEX, TEXT, TOWER, Change, Damage, put, redigested, sealed, write
from trident.release import MANIFEST
from trident_export.parts import PARTS


def cut(good: Path, files: list[str]) -> Iterator[Damage]:
    """Every file cut to several lengths, also with all seals anew."""
    for file in files:
        content = (good / file).read_bytes()
        for length in sorted({0, 7, len(content) // 2, len(content) - 2}):
            expected = f"{MANIFEST} cannot be read" if file == MANIFEST else f"{re.escape(file)}: expected bytes"
            yield Damage("truncated", f"{file} cut to {length}", write(file, content[:length]), expected)
    for file in files:
        if file.endswith((".npy", ".faiss", ".onnx", ".tl", ".txt")):
            content, (folder, _, name) = (good / file).read_bytes(), file.rpartition("/")
            change = sealed(write(file, content[: len(content) // 2]))
            about = f"{folder}/{name.partition('.')[0]}|{name} cannot be read" if folder else name
            yield Damage("truncated, everything sealed anew", f"half of {file}", change, about)


def flipped(good: Path, files: list[str]) -> Iterator[Damage]:
    """A byte of every file, in several places."""
    for file in files:
        content = (good / file).read_bytes()
        for place in sorted({0, len(content) // 3, len(content) // 2, len(content) - 1}):
            spoiled = bytearray(content)
            spoiled[place] ^= 0xFF
            expected = MANIFEST if file == MANIFEST else f"{re.escape(file)}: expected sha256"
            yield Damage("a flipped byte", f"{file} at {place}", write(file, bytes(spoiled)), expected)


def there(files: list[str]) -> Iterator[Damage]:
    """A file that is missing, and one too many."""
    for file in files:
        expected = f"no {MANIFEST}" if file == MANIFEST else rf"missing \['{re.escape(file)}'\]"
        yield Damage("a file is missing", file, lambda folder, file=file: (folder / file).unlink(), expected)
    for file in ("extra", "items/extra.npy", "1/model.py", ".hidden"):
        yield Damage("a file too many", file, _new(file), rf"unknown \['{re.escape(file)}'\]")
    yield Damage(
        "a file too many", "a folder more, sealed", sealed(_new("items/more/a.npy")), "files at the top or in one"
    )


def _new(file: str) -> Change:
    def change(folder: Path) -> None:
        (folder / file).parent.mkdir(exist_ok=True)
        put(folder / file, b"something")

    return change


def swapped(good: Path, other: Path, files: list[str]) -> Iterator[Damage]:
    """Files of another release: as they are, with new digests, with its own entry in the table, and sealed."""
    spaces, schemas = ("user_tower/", INDEX, "items/vectors"), ("users/", "items/", "ranker/")
    for file in files:
        content = (other / file).read_bytes()
        if file in (MANIFEST, "report.html", "rules.toml") or content == (good / file).read_bytes():
            continue
        yield Damage("a file of another release", file, write(file, content), f"{re.escape(file)}: expected")
        if file == PARTS:
            yield Damage("the same, digests recomputed", file, redigested(write(file, content)), "built for another")
            continue
        change = redigested(write(file, content))
        yield Damage("the same, digests recomputed", file, change, f"{re.escape(file)}: not the file that was built")
        kind = (
            "tower and index of different spaces" if file.startswith(spaces) else "feature schemas of different hashes"
        )
        if file.startswith((*spaces, *schemas)):
            what = "embedding space" if file.startswith(spaces) else "feature schema"
            change = redigested(_with_entry(file, content, other))
            yield Damage(kind, file, change, f"{re.escape(file)}: built for another {what}")
    for file, about in SEALED_SWAPS.items():
        change = sealed(write(file, (other / file).read_bytes()))
        yield Damage("a file of another release, everything sealed anew", file, change, about)


SEALED_SWAPS = {
    TOWER: "golden request 1",
    INDEX: "golden request 1",
    CHECKPOINT: "of different forests",
    TEXT: "of different forests",
    "items/features.npy": "golden request|items/features",
    "items/vectors.npy": "golden request 1",
    "items/category.npy": "golden request",
    "items/in_stock.npy": "golden request",
    "users/features.npy": "golden request|users/features",
    "users/history.npy": "golden request",
    "items/titles.offsets.npy": "items/titles",
    "items/titles.bytes.npy": "items/titles",
}
"""What another release's file is found out by when nothing but what it holds speaks against it."""


def _with_entry(file: str, content: bytes, other: Path) -> Change:
    """The file of another release, with what that one says of it."""

    def change(folder: Path) -> None:
        put(folder / file, content)
        table, theirs = (json.loads((place / PARTS).read_text()) for place in (folder, other))
        table["files"][file] = theirs["files"][file]
        put(folder / PARTS, json.dumps(table).encode())

    return change


def links() -> Iterator[Damage]:
    """Symbolic links in place of files and folders, and pipes."""
    kind, about = "a link, or no file at all", "a symbolic link has no place|expected a file or a folder"
    for file in (TOWER, INDEX, "items/features.npy", "rules.toml", "users/ids.bytes.npy", TEXT):
        for place in ("/etc/passwd", "../outside", "/nowhere", "rules.toml"):
            yield Damage(kind, f"{file} → {place}", _link(file, place), about)
    for place in ("items", "users", "ranker"):
        yield Damage(kind, f"{place}/ → outside", _move_out(place), about)
    yield Damage(kind, "a pipe in place of the index", _pipe(INDEX), about)
    yield Damage(kind, "a pipe more", _pipe("items/pipe.npy"), about)


def _link(file: str, place: str) -> Change:
    def change(folder: Path) -> None:
        (folder / file).unlink()
        (folder / file).symlink_to(place)

    return change


def _move_out(name: str) -> Change:
    def change(folder: Path) -> None:
        outside = folder.parent / f"{folder.name}-{name}"
        (folder / name).rename(outside)
        (folder / name).symlink_to(outside)

    return change


def _pipe(file: str) -> Change:
    def change(folder: Path) -> None:
        (folder / file).unlink(missing_ok=True)
        os.mkfifo(folder / file)

    return change


def rules() -> Iterator[Damage]:
    """A rules.toml that cannot be, or under which other answers come."""
    for name, text in (
        ("no TOML", b"[diversity"),
        ("not UTF-8", b"# \xff\n"),
        ("an unknown key", b"[diversity]\nmost = 3\n"),
        ("out of range", b"[diversity]\nmax_per_category = 0\n"),
        ("an unknown category", b'[safety]\nnever_categories = ["no such"]\n'),
        ("others than golden", b"[diversity]\nmax_per_category = 1\n"),
    ):
        yield Damage(
            "rules", name, redigested(write("rules.toml", text)), r"rules\.toml|never_categories|golden request"
        )
