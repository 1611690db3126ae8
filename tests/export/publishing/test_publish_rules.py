"""What `trident publish` says about names in the rules that the release does not have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest
from click.testing import Result
from typer.testing import CliRunner

from trident.command_group import build
from trident.release import MANIFEST, Manifest, fingerprints


@pytest.fixture
def published(tiny_release: Path, tmp_path: Path) -> Callable[[str], Result]:
    """Publishes the release with other rules."""

    def with_rules(text: str) -> Result:
        folder = copytree(tiny_release, tmp_path / "release")
        (folder / "rules.toml").write_text(text)
        manifest = Manifest.read(folder / MANIFEST)
        replace(manifest, files=fingerprints(folder)).write(folder / MANIFEST)
        arguments = ["publish", str(folder), "--repository", str(tmp_path / "repository")]
        return CliRunner().invoke(build(), arguments)

    return with_rules


def test_an_unknown_item_is_warned_of(published):
    result = published('[[pinned]]\nitem = "gone"\nposition = 1\n')
    assert result.exit_code == 0
    assert "warning: rules.toml: [[pinned]] item: no item of this release, so without effect: gone" in result.output
    assert "as release 1" in result.output


def test_an_unknown_category_in_a_safety_list_is_refused(published, tmp_path):
    result = published('[safety]\nnever_categories = ["no such"]\n')
    assert result.exit_code == 1
    assert "never_categories: expected categories of the release" in result.output
    assert not (tmp_path / "repository" / "recommend").exists()
