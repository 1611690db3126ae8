from __future__ import annotations

from pathlib import Path

import pytest

from trident.canary import Canary
from trident.contract import MODELS, RECOMMEND_AB, RECOMMEND_CANARY
from trident.errors import SetupError
from trident.model_config import text, text_of_experiment, write_configs
from trident.repository import canary_of, serving_release
from trident.serving.configs import renew_configs

CANARY = Canary("colours", 0.05, 4, "2026-01-01", "somebody")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    write_configs(folder, 3)
    for contract in (RECOMMEND_AB, RECOMMEND_CANARY):
        (folder / contract.name).mkdir(exist_ok=True)
        (folder / contract.name / "config.pbtxt").write_text(text_of_experiment(contract, CANARY))
    return folder


def configs(repository: Path) -> dict[str, str]:
    return {str(path.relative_to(repository)): path.read_text() for path in repository.rglob("*.pbtxt")}


def test_configs_of_this_version_are_left_alone(repository):
    times = {path: path.stat().st_mtime_ns for path in repository.rglob("*.pbtxt")}
    assert renew_configs(repository) == []
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*.pbtxt")} == times


def test_configs_of_another_version_are_written_again_with_the_numbers_of_the_repository(repository):
    before = configs(repository)
    for name in ("candidates", "recommend", "recommend_canary"):
        path = repository / name / "config.pbtxt"
        path.write_text(path.read_text().replace("viewer", "another_name"))
    assert configs(repository) != before
    assert sorted(renew_configs(repository)) == ["candidates", "recommend", "recommend_canary"]
    assert configs(repository) == before
    assert (serving_release(repository), canary_of(repository)) == (3, CANARY)
    assert [path.name for path in repository.parent.iterdir()] == ["repository"]


def test_a_model_that_is_not_there_stays_away(tmp_path):
    repository = tmp_path / "repository"
    (repository / MODELS[0].name).mkdir(parents=True)
    (repository / MODELS[0].name / "config.pbtxt").write_text("name: 'old'")
    assert renew_configs(repository) == [MODELS[0].name]
    assert configs(repository) == {f"{MODELS[0].name}/config.pbtxt": text(MODELS[0])}


def test_what_may_not_be_written_is_said(repository, monkeypatch):
    (repository / "candidates" / "config.pbtxt").write_text("name: 'old'")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(SetupError, match=r"candidates/config\.pbtxt is of another version.*Permission denied: publish"):
        renew_configs(repository)
    assert [path.name for path in repository.parent.iterdir()] == ["repository"]
