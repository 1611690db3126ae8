"""Arrows between the packages point one way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "trident": ROOT / "trident",
    "trident_export": ROOT / "export" / "trident_export",
    "trident_client": ROOT / "client" / "trident_client",
    "trident_loadtest": ROOT / "loadtest" / "trident_loadtest",
}
ALLOWED = {
    "trident": {"trident"},
    "trident_export": {"trident", "trident_export"},
    "trident_client": {"trident", "trident_client"},
    "trident_loadtest": {"trident", "trident_client", "trident_loadtest"},
}


def imported(path: Path) -> set[str]:
    """Top names of everything that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", FOLDERS)
def test_a_package_imports_only_what_lies_below_it(package):
    files = list(FOLDERS[package].rglob("*.py"))
    assert files
    for path in files:
        assert imported(path) & set(FOLDERS) <= ALLOWED[package], path


def test_only_the_adapter_and_the_stand_ins_know_tritons_python_backend():
    knowing = {
        path.name for path in ROOT.joinpath("trident").rglob("*.py") if "triton_python_backend_utils" in imported(path)
    }
    adapter = {"triton.py", "triton_errors.py", "triton_intake.py", "triton_metrics.py", "triton_router.py"}
    assert knowing == {*adapter, "standin.py"}


def test_every_model_file_is_a_class_with_its_contract_and_its_stage():
    for path in ROOT.joinpath("model_repository").glob("*/1/model.py"):
        (model,) = [n for n in ast.parse(path.read_text("utf-8")).body if isinstance(n, ast.ClassDef)]
        assert (model.name, len(model.body)) == ("TritonPythonModel", 2)
