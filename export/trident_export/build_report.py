"""A finished build in a few lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from trident_export.build import BuildReport
    from trident_export.evaluate import Evaluation

COLUMNS = ("recall@20", "recall@50", "recall@500", "ndcg@20", "mrr")


def print_report(report: BuildReport, console: Console) -> None:
    """Print the data quality line, the metrics beside those of the baselines, and the facts of the release."""
    console.print(report.quality.summary(), highlight=False, soft_wrap=True)
    console.print(metrics_table(report.evaluation))
    for line in (*evaluation_lines(report.evaluation), *release_lines(report)):
        console.print(line, highlight=False, soft_wrap=True)


def metrics_table(found: Evaluation) -> Table:
    """Methods × metrics on the test window; report.html has more of them, with their intervals."""
    about = f"test window: {found.requests:,} users, one request each, {found.of_new_users:,} of them new"
    table = Table(title=about, title_justify="left")
    table.add_column("method", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column.replace("ndcg", "NDCG").replace("mrr", "MRR"), justify="right", no_wrap=True)
    for method, metrics in found.methods.items():
        table.add_row(method, *(f"{metrics[c]:.3f}" if c in metrics else "" for c in COLUMNS))
    return table


def evaluation_lines(found: Evaluation) -> list[str]:
    """How the release does against the best baselines, with 95 % intervals, and how good its probabilities are."""
    parts: dict[str, list[str]] = {}
    for d in found.differences:
        gained = f"{d.metric} {d.difference:+.3f} \\[{d.low:+.3f} {d.high:+.3f}] against {d.baseline}"
        parts.setdefault(d.method, []).append(gained)
    lines = [f"{method}: {'; '.join(gained)}" for method, gained in parts.items()]
    order = found.ranker["candidates"]
    return [
        *lines,
        *oracle_lines(found),
        f"ranker on impressions: {_probabilities(found.ranker['impressions'])}",
        f"ranker on candidates: AUC {order['auc']:.4f}, {order['rows']:,} rows, {order['click_share']:.1%} clicked",
    ]


def oracle_lines(found: Evaluation) -> list[str]:
    """How much of the NDCG@20 of the oracles of synthetic data the answers reach; no line for real data."""
    parts = {method: (f"{of} {share:.0%}" for of, share in shares.items()) for method, shares in found.oracle.items()}
    return [f"{method}: NDCG@20 over that of an oracle of {'; of '.join(shares)}" for method, shares in parts.items()]


def release_lines(report: BuildReport) -> list[str]:
    """What the release is, how good its parts are, and how long they took."""
    manifest, search = report.manifest, report.manifest.search
    parity = manifest.metrics["parity"]
    size = sum(file["bytes"] for file in manifest.files.values())
    seconds = ", ".join(f"{step} {taken:.0f}" for step, taken in report.seconds.items())
    return [
        f"index: {search['factory']}, recall@{search['k']} of exact search {search['recall']:.3f}, "
        f"{search['p50_ms']} ms a query",
        f"parity: ONNX and torch {parity['user_tower']:.1e}, Treelite and LightGBM {parity['ranker']:.1e}",
        f"release: {report.folder}, {manifest.items:,} items, {manifest.users:,} users, {size / 1e6:.1f} MB, "
        f"embedding space {manifest.embedding_space}, features {manifest.feature_schema}",
        f"seconds: {seconds}",
    ]


def _probabilities(found: Mapping[str, Any]) -> str:
    if not found["rows"]:
        return "no views of new items in the test window"
    low, high = found["intervals"]["auc"]
    return (
        f"AUC {found['auc']:.4f} \\[{low:.3f} {high:.3f}], log loss {found['log_loss']:.4f} "
        f"({found['log_loss_of_mean']:.4f} for the mean), calibration error {found['calibration_error']:.4f}, "
        f"{found['rows']:,} views of the test window, {found['click_share']:.1%} clicked"
    )
