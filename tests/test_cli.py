from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import time

import pytest
import typer
from typer.testing import CliRunner

from trident import __version__, command_group, extras
from trident.errors import ReleaseError

runner = CliRunner()


class Group:
    """Stands for a package's module of commands."""

    @staticmethod
    def register(app: typer.Typer) -> None:
        app.command("refuse")(refuse)
        app.command("need")(need)


def refuse() -> None:
    """Refuse."""
    raise ReleaseError("no release here:\n`trident build` makes one")


def need(module: str) -> None:
    """Need a module."""
    raise ModuleNotFoundError(f"No module named '{module}'", name=module)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    here = importlib.metadata.EntryPoint("here", f"{__name__}:Group", command_group.ENTRY_POINTS)
    nowhere = importlib.metadata.EntryPoint("export", "trident_nowhere.commands", command_group.ENTRY_POINTS)
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__, type(sys)(__name__)))
    monkeypatch.setattr(sys.modules[__name__], "Group", Group, raising=False)
    monkeypatch.setattr(command_group, "entry_points", lambda group: [here, nowhere])
    return command_group.build()


def test_an_error_is_one_line_and_exit_code_1(app: typer.Typer) -> None:
    result = runner.invoke(app, ["refuse"])
    assert result.exit_code == 1
    assert result.stderr == "trident: no release here: `trident build` makes one\n"


def test_a_missing_module_names_the_extra(app: typer.Typer) -> None:
    result = runner.invoke(app, ["need", "faiss"])
    assert result.exit_code == 1
    assert result.stderr == "trident: faiss is not installed: pip install 'trident-recommender[serve]'\n"
    assert "[export]" in runner.invoke(app, ["need", "lightgbm.basic"]).stderr


def test_a_missing_module_of_nobody_stays_an_error(app: typer.Typer) -> None:
    assert isinstance(runner.invoke(app, ["need", "trident_typo"]).exception, ModuleNotFoundError)


def test_a_group_that_is_not_there_is_shown_and_breaks_nothing(app: typer.Typer) -> None:
    assert "Commands of 'export' are not available" in " ".join(runner.invoke(app, ["--help"]).stdout.split())
    result = runner.invoke(app, ["build"])
    assert result.exit_code == 2
    assert "Commands of 'export' are not available" in " ".join(result.stderr.replace("│", " ").split())


def test_wrong_usage_is_exit_code_2(app: typer.Typer) -> None:
    assert runner.invoke(app, ["refuse", "--nonsense"]).exit_code == 2


def test_the_version_is_printed() -> None:
    assert runner.invoke(command_group.build(), ["--version"]).stdout.strip() == __version__


def test_extras_are_found_by_module_name() -> None:
    assert extras.extra_of("faiss") == "serve"
    assert extras.extra_of("ibis.expr") == "export"
    assert extras.extra_of("locust") == "loadtest"
    assert extras.extra_of("nobody_knows") is None


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    heavy = ("torch", "faiss", "lightgbm", "ibis", "onnxruntime", "tritonclient", "pandas", "pyarrow")
    program = (
        "import sys; from trident.command_group import build; build(); "
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    start = time.perf_counter()
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"
    assert time.perf_counter() - start < 5


def test_serve_without_a_repository_says_how_to_get_one(tmp_path: object) -> None:
    result = runner.invoke(command_group.build(), ["serve", "--repository", f"{tmp_path}/none", "--http-port", "0"])
    assert result.exit_code == 1
    assert "make demo" in result.stderr
    assert "Traceback" not in result.output


def test_doctor_prints_json_and_its_exit_code_is_its_verdict() -> None:
    result = runner.invoke(command_group.build(), ["doctor", "--json"])
    report = json.loads(result.stdout)
    assert result.exit_code == (0 if report["healthy"] else 1)
    assert {"Python", "libpython", "glibc", "Redis", "/dev/shm"} <= {row["name"] for row in report["checks"]}
    assert all(row["advice"] for row in report["checks"] if row["state"] == "broken")
