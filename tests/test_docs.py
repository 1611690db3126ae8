"""What the pages say is what the code does."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trident.command_group import build
from trident.contract import DEGRADED, FUNNEL, RECOMMEND
from trident.metrics import metrics
from trident.router import ROUTED
from trident.stages import STAGES
from trident_export.data.page import page

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_readme_names_every_public_tensor_step_and_reason():
    rows = re.findall(r"^\| `(\w+)` \| (BYTES|BOOL|INT32|INT64|FP32) ", README, re.M)
    assert rows == [(t.name, t.dtype) for t in (*RECOMMEND.inputs, *RECOMMEND.outputs)]
    assert ", ".join(FUNNEL) in README
    assert ", ".join(DEGRADED) in README


def test_every_link_of_the_pages_leads_somewhere():
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8")):
            assert target.startswith("http") or (path.parent / target).exists(), (path.name, target)


def test_the_page_of_metrics_lists_what_the_stages_count():
    assert STAGES  # their modules make the metrics
    assert ROUTED
    page = (ROOT / "docs/metrics.md").read_text("utf-8")
    listed = set(re.findall(r"^\| `(trident_\w+)` \| \w+ \| ([\w, ]*?) ?\|", page, re.M))
    assert listed == {(metric.name, ", ".join(metric.labels)) for metric in metrics()}


def test_every_make_target_that_readme_names_is_there():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"`?make ([a-z_]+)", README):
        assert re.search(rf"^{target}:", makefile, re.M), target


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"trident (build|publish|serve|recommend|doctor)\b", README)))
)
def test_every_option_that_readme_uses_is_in_the_help(command):
    shown = CliRunner().invoke(build(), [command, "--help"], env={"COLUMNS": "200"}).output
    for line in re.findall(rf"trident {command}\b([^\n`]*)", README):
        for option in re.findall(r"--[a-z-]+", line):
            assert option in shown, (command, option)


def test_the_page_of_the_data_is_current():
    assert (ROOT / "docs" / "data.md").read_text("utf-8") == page(), "run `python -m trident_export.data`"
