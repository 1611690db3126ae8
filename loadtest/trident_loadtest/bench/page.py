"""A report as one HTML page that loads nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

STYLE = Path(__file__).with_name("page.css")


def page(title: str, about: str, keys: Mapping[str, str], parts: Sequence[str], report: Mapping[str, Any]) -> str:
    """The page: what it is, its key figures, its charts and tables, and what every report says of itself."""
    figures = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in keys.items())
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(about)}</p>",
        f"<dl>{figures}</dl>",
        *parts,
        *_server(report),
        _generator(report),
        _made(report),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"<style>\n{STYLE.read_text('utf-8')}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and whose other columns are numbers."""
    first = "".join(f"<th{_number(i)}>{escape(name)}</th>" for i, name in enumerate(head))
    lines = ["".join(f"<td{_number(i)}>{escape(cell)}</td>" for i, cell in enumerate(row)) for row in rows]
    return f"<table><tr>{first}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _number(column: int) -> str:
    return ' class="number"' if column else ""


def milliseconds(value: float | None) -> str:
    """A time as a table shows it."""
    return "–" if value is None or value != value else f"{value:.1f} ms"


def percent(share: float) -> str:
    """A share as a table shows it."""
    return f"{share:.2%}"


def megabytes(count: float) -> str:
    """Bytes as a table shows them."""
    return f"{count / 2**20:,.0f} MiB"


def latencies(report: Mapping[str, Any]) -> str:
    """A row of percentiles per run."""
    found = report["latency_ms"]
    names = list(found["median_of_runs"])
    rows = [
        [f"run {i}", f"{run['answers']:,}", *(milliseconds(run["latency_ms"][n]) for n in names)]
        for i, run in enumerate(report["runs"], 1)
    ]
    if len(rows) > 1:
        rows.append(["median of the runs", "", *(milliseconds(found["median_of_runs"][n]) for n in names)])
        rows.append(["all requests", "", *(milliseconds(found["all_requests"][n]) for n in names)])
    return "<h2>Latency</h2>" + table(["", "answers", *names], rows)


def _server(report: Mapping[str, Any]) -> list[str]:
    server, memory = report["server"], report["memory_bytes"]
    if not memory:
        return ["<h2>Server</h2><p>It runs on another machine: stages, processor time and memory are not measured.</p>"]
    stages = [
        [name, f"{s['requests']:,}", f"{s['queue_ms']:.2f} ms", f"{s['compute_ms']:.2f} ms"]
        for name, s in server["stages"].items()
    ]
    cpu = [[name, f"{value:.2f} ms"] for name, value in server["cpu_ms_per_answer"].items()]
    held = [[name, megabytes(value)] for name, value in memory["by_process"].items()]
    split = [[name, megabytes(memory[part])] for name, part in MEMORY]
    cache = [[name, percent(share)] for name, share in server["embedding_cache"].items()]
    reasons = [[name, percent(share)] for name, share in report["degraded"].items()] or [["none", ""]]
    failed = [[name, f"{count:,}"] for name, count in report["errors"]["by_code"].items()] or [["none", ""]]
    return [
        "<h2>Stages</h2><p>Means per request of the stage, from Triton's statistics.</p>",
        table(["stage", "requests", "waiting", "computing"], stages),
        "<h2>Processor time per answer</h2><p>User and system time of each process, divided by all answers.</p>",
        table(["process", "per answer"], cpu),
        "<h2>Memory</h2><p>After the last run. Pages that processes share are counted once; of mapped files those that "
        "processes have touched, not what else of them lies in the page cache.</p>",
        table(["all processes together", ""], split),
        table(["process", "its part"], held),
        "<h2>Answers</h2>",
        table(["cached embedding", "users"], cache),
        table(["degraded", "answers"], reasons),
        table(["answers without items", ""], [["of all answers", f"{report['answers_without_items']:,}"]]),
        table(["error", "requests"], failed),
        *(f"<p><code>{count} × {escape(text)}</code></p>" for text, count in report["errors"]["texts"].items()),
    ]


MEMORY = (
    ("together", "pss"),
    ("of it their own", "anon"),
    ("of it mapped files", "file"),
    ("of it shared memory for tensors", "shmem"),
)


def _generator(report: Mapping[str, Any]) -> str:
    rows = [
        [
            f"run {i}",
            *(f"{g['lag_ms'][name]:.2f} ms" for name in ("p50", "p99", "max")),
            percent(g["share_of_a_core"]),
            g["priority"],
        ]
        for i, g in enumerate((run["generator"] for run in report["runs"]), 1)
    ]
    return (
        "<h2>Load generator</h2><p>How much later than intended requests were sent; latencies count from the intended "
        "moment, so this is part of them.</p>"
        + table(["", "lag p50", "lag p99", "lag max", "share of a core", "priority"], rows)
    )


def _made(report: Mapping[str, Any]) -> str:
    rows = [
        [name, _text(value)]
        for part in ("made", "settings", "release", "profile")
        for name, value in _flat(report, part)
    ]
    return "<h2>How it was made</h2>" + "".join(
        f"<p><code>{escape(name)}: {escape(value)}</code></p>" for name, value in rows
    )


def _flat(report: Mapping[str, Any], part: str) -> list[tuple[str, Any]]:
    return [(f"{part}.{name}", value) for name, value in report[part].items()]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
