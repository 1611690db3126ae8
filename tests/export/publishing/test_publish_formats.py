"""A repository that an older version of this software has filled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trident.contract import USER_ENCODER
from trident.errors import ReleaseError
from trident.release import FORMAT, MANIFEST, Release
from trident.repository import numbers_in_use, serving_release
from trident_export.publishing.publish import publish


def make_old(folder: Path) -> None:
    for path in folder.rglob(MANIFEST):
        content = json.loads(path.read_text())
        path.unlink()  # it is a link to the release's
        path.write_text(json.dumps({**content, "format": FORMAT - 1}))


def test_a_release_of_another_format_is_gone_once_the_next_one_serves(tiny_release, tmp_path):
    assert publish(tiny_release, tmp_path) == 1
    make_old(tmp_path)
    assert publish(tiny_release, tmp_path) == 2
    assert (numbers_in_use(tmp_path), serving_release(tmp_path)) == ({2}, 2)
    assert publish(tiny_release, tmp_path) == 3
    assert numbers_in_use(tmp_path) == {2, 3}


def test_a_release_of_another_format_is_refused_and_told_what_to_do(tiny_release, tmp_path):
    publish(tiny_release, tmp_path)
    make_old(tmp_path)
    with pytest.raises(ReleaseError, match=rf"expected format {FORMAT}, got {FORMAT - 1}: build it again"):
        Release.open(tmp_path / USER_ENCODER.name / "1")
