"""A finished build in a few lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from trident_export.build import BuildReport

COLUMNS = ("recall@20", "recall@50", "recall@500", "ndcg@20")


def print_report(report: BuildReport, console: Console) -> None:
    """Print the data quality line, the metrics beside those of the baseline, and the facts of the release."""
    console.print(report.quality.summary(), highlight=False, soft_wrap=True)
    console.print(metrics_table(report))
    for line in release_lines(report):
        console.print(line, highlight=False, soft_wrap=True)


def metrics_table(report: BuildReport) -> Table:
    """Methods × metrics on the test window."""
    found = report.evaluation
    about = f"test window: {found.requests:,} users, one request each, {found.of_new_users:,} of them new"
    table = Table("method", title=about, title_justify="left")
    for column in COLUMNS:
        table.add_column(column.replace("ndcg", "NDCG"), justify="right")
    for method, metrics in found.methods.items():
        table.add_row(method, *(f"{metrics[c]:.4f}" if c in metrics else "" for c in COLUMNS))
    return table


def release_lines(report: BuildReport) -> list[str]:
    """What the release is, how good its parts are, and how long they took."""
    manifest, search = report.manifest, report.manifest.search
    parity = manifest.metrics["parity"]
    size = sum(file["bytes"] for file in manifest.files.values())
    seconds = ", ".join(f"{step} {taken:.0f}" for step, taken in report.seconds.items())
    return [
        *(f"ranker on {kind}: {_probabilities(found)}" for kind, found in report.evaluation.ranker.items()),
        f"index: {search['factory']}, recall@{search['k']} of exact search {search['recall']:.3f}, "
        f"{search['p50_ms']} ms a query",
        f"parity: ONNX and torch {parity['user_tower']:.1e}, Treelite and LightGBM {parity['ranker']:.1e}",
        f"release: {report.folder}, {manifest.items:,} items, {manifest.users:,} users, {size / 1e6:.1f} MB, "
        f"embedding space {manifest.embedding_space}, features {manifest.feature_schema}",
        f"seconds: {seconds}",
    ]


def _probabilities(found: Mapping[str, float]) -> str:
    return (
        f"AUC {found['auc']:.4f}, log loss {found['log_loss']:.4f} ({found['log_loss_of_mean']:.4f} for the mean), "
        f"{found['rows']:,} rows of the test window, {found['click_share']:.1%} clicked"
    )
