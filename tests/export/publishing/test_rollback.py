"""Going back in a repository that no server serves, and what is listed then."""

from __future__ import annotations

import pytest

from trident.errors import ReleaseError
from trident.repository import numbers_in_use, serving_release
from trident_export.publishing import publish
from trident_export.publishing.listing import releases
from trident_export.publishing.rollback import rollback


def states(repository) -> dict[int, str]:
    return {row.release: row.state for row in releases(repository)}


def test_it_goes_to_what_served_before_and_then_nothing_is_left(repository):
    assert states(repository) == {2: "serving", 1: "previous"}
    assert rollback(repository) == 1
    assert serving_release(repository) == 1
    assert states(repository) == {2: "withdrawn", 1: "serving"}
    with pytest.raises(ReleaseError, match=r"nothing is left to go back to: .* release 1; `--to` takes 2$"):
        rollback(repository)


def test_it_goes_forward_again_when_told_to(repository):
    rollback(repository)
    assert rollback(repository, to=2) == 2
    assert states(repository) == {2: "serving", 1: "previous"}
    with pytest.raises(ReleaseError, match="release 2 serves already"):
        rollback(repository, to=2)
    with pytest.raises(ReleaseError, match=r"release 7 is not there any more: expected one of \[1\]"):
        rollback(repository, to=7)


def test_a_publish_after_it_removes_the_bad_release_and_a_number_is_never_used_again(repository, tiny_release):
    rollback(repository)
    assert publish.publish(tiny_release, repository) == 3
    assert (numbers_in_use(repository), serving_release(repository)) == ({1, 3}, 3)
    assert rollback(repository) == 1
    assert publish.publish(tiny_release, repository) == 4
    assert numbers_in_use(repository) == {1, 4}


@pytest.mark.parametrize("file", ["candidates/1/rules.toml", "user_tower/1/model.onnx"])
def test_a_release_that_is_damaged_meanwhile_is_refused(repository, file):
    path = repository / file
    path.write_bytes(path.read_bytes() + b"#")
    with pytest.raises(ReleaseError, match=f"{path.name}: expected sha256"):
        rollback(repository)
    assert serving_release(repository) == 2


def test_a_release_that_is_not_whole_is_refused(repository):
    (repository / "ranker" / "1").rename(repository.parent / "elsewhere")
    with pytest.raises(ReleaseError, match="release 1 is not whole: 'ranker' has no folder of it"):
        rollback(repository)


def test_without_a_repository_or_a_release_it_says_so(tmp_path):
    with pytest.raises(ReleaseError, match="there is no model repository"):
        rollback(tmp_path / "repository")
    (tmp_path / "repository").mkdir()
    with pytest.raises(ReleaseError, match="`trident publish` puts one there"):
        rollback(tmp_path / "repository")


def test_the_list_says_who_when_how_good_and_what_is_unlike_the_serving_one(
    repository, tiny_release, other_release, capsys
):
    from trident_export.publishing.listing import print_releases

    publish.publish(other_release, repository, options=publish.Options(override="we want it"))
    three, two = releases(repository)
    assert (three.release, three.state, three.differs, three.override) == (3, "serving", (), "we want it")
    assert (two.release, two.state, two.differs) == (2, "previous", ("embedding space", "feature schema"))
    assert three.metrics is not None
    assert set(three.metrics) == {"recall@500", "NDCG@20", "AUC"}
    assert (three.items, three.source) == (800, "other")
    print_releases([three, two])
    shown = capsys.readouterr().out
    assert "override: we want it" in shown
    assert "embedding space, feature schema" in shown
