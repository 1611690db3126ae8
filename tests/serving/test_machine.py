from __future__ import annotations

from pathlib import Path

import pytest

from trident.errors import SetupError
from trident.serving import checks, native, wheel
from trident.serving.log import decisive_lines


def test_this_machine_can_serve() -> None:
    found = wheel.TritonWheel.find()
    assert found.server.is_file()
    assert found.environment()["LD_LIBRARY_PATH"].startswith(str(found.libraries))


def test_the_backend_folder_holds_the_stub_and_the_stand_ins(tmp_path: Path) -> None:
    folder = wheel.TritonWheel.find().lay_out_backends(tmp_path / "backends")
    assert (folder / "python/triton_python_backend_stub").is_file()
    assert (folder / "python/libtriton_python.so").is_file()
    assert all((path / "model.py").is_file() for path in folder.iterdir() if path.name != "python")


def test_a_missing_libpython_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "LIBPYTHON", "libpython9.99.so.1.0")
    monkeypatch.setattr(native, "PYTHON", "9.99")
    with pytest.raises(SetupError, match=r"apt install libpython9\.99"):
        native.libpython_folder()
    with pytest.raises(SetupError, match=r"Python 9\.99 .* use CPython 3\.10, 3\.11, 3\.12"):
        native.require_python()


@pytest.mark.parametrize(("found", "text"), [((2, 31), "glibc 2.31"), ((0, 0), "another C library")])
def test_an_old_c_library_is_named(monkeypatch: pytest.MonkeyPatch, found: tuple[int, int], text: str) -> None:
    monkeypatch.setattr(native, "glibc", lambda: found)
    with pytest.raises(SetupError, match=f"glibc 2.35 or newer and this system has {text}"):
        native.require_glibc()


def test_a_missing_libgomp_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "loadable", lambda library: False)
    with pytest.raises(SetupError, match="apt install libgomp1"):
        native.require_libgomp()


@pytest.mark.parametrize(("version", "text"), [("2.2.6", "numpy 2.2.6 is too new"), ("", "numpy is not installed")])
def test_a_wrong_numpy_is_refused_before_a_start(monkeypatch: pytest.MonkeyPatch, version: str, text: str) -> None:
    monkeypatch.setattr(wheel, "numpy_version", lambda: version)
    with pytest.raises(SetupError, match=text):
        wheel.TritonWheel.find()


def test_a_missing_wheel_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"nvidia-pytriton\): pip install 'trident-recommender\[serve\]'"):
        wheel.TritonWheel.find()


def test_the_doctor_finds_what_is_broken_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel, "numpy_version", lambda: "2.2.6")
    monkeypatch.setenv("REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    rows = {row.name: row for row in checks.run()}
    assert rows["numpy < 2"].state == rows["Redis"].state == "broken"
    assert "numpy<2" in rows["numpy < 2"].advice
    assert not checks.healthy(list(rows.values()))
    assert all(row.advice for row in rows.values() if row.state != "ok")
    assert not any("secret" in row.found + row.advice for row in rows.values())


def test_the_log_is_cut_down_to_what_matters(tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    log.write_text(
        'I1123 07:00:00.000001 12 server.cc:1] "fine"\n'
        'E1123 07:00:00.000002 12 server.cc:241] "CudaDriverHelper has not been initialized."\n'
        "E1123 07:00:00.000003 12 model_lifecycle.cc:642] \"failed to load 'ranker' version 1: no checkpoint\"\n"
        "E1123 07:00:00.000004 12 model_lifecycle.cc:642] \"failed to load 'ranker' version 1: no checkpoint\"\n"
        'I1123 07:00:00.000005 12 server.cc:2] "stopping"\n'
    )
    assert decisive_lines(log) == "failed to load 'ranker' version 1: no checkpoint"
    log.write_text("a\n\nb\n")
    assert decisive_lines(log) == "a | b"
    assert decisive_lines(tmp_path / "none") == "it printed nothing"
