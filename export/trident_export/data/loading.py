"""Reading a source as its rules of validation want it."""

from __future__ import annotations

from pathlib import Path

from trident_export.data import files, sources
from trident_export.data.dataset import Dataset
from trident_export.data.rules import ValidationRules
from trident_export.data.rules_file import read_rules


def rules_for(source: str, path: Path | None = None) -> ValidationRules:
    """The rules that suit a source, changed by the TOML file at `path` when there is one."""
    return sources.rules(source) if path is None else read_rules(path, sources.rules(source))


def load(source: str, path: Path | None, out: Path, rules: ValidationRules) -> Dataset:
    """As `sources.load`; where the rules call a table complete, it gets no rows for ids that events alone name."""
    if source == "files" and path is not None and (rules.known_users or rules.known_items):
        return files.load(path, out, keep_unknown=False)
    return sources.load(source, path, out)
