"""What a build learned and measured, as one HTML page that loads nothing from elsewhere: `report.html` of a release.

It is drawn from the manifest's metrics alone and holds no times, so that the same build gives the same page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from trident_export.data import charts
from trident_export.data.report_page import STYLE
from trident_export.release_charts import Line, lines

PAGE = "report.html"
COLUMNS = ("recall@20", "recall@50", "recall@500", "ndcg@20", "mrr", "coverage@20", "novelty@20", "diversity@20")
EXPECTED = "expected ndcg@20"  # of synthetic data alone
MORE_STYLE = """svg polyline.rejected { fill: none; stroke: var(--rejected); stroke-width: 2; }
svg polyline.grid { fill: none; stroke: var(--soft); stroke-dasharray: 4; }
td small { display: block; color: var(--soft); }
"""


def release_page(metrics: Mapping[str, Any], windows: Mapping[str, Mapping[str, str]]) -> str:
    """The whole page, from the manifest's `metrics` and its `data["windows"]`."""
    parts = [
        _head(metrics["test"], windows),
        _methods(metrics["test"]),
        _differences(metrics["test"]),
        _oracle(metrics["test"]),
        _slices(metrics["test"]),
        _towers(metrics["towers"]),
        _ranker(metrics["ranker"]),
        _calibration(metrics["test"]["ranker"], metrics["ranker"]),
        _importances(metrics["ranker"]),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>Release report</title>\n'
        f"<style>\n{STYLE.read_text('utf-8')}{MORE_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _head(test: Mapping[str, Any], windows: Mapping[str, Mapping[str, str]]) -> str:
    spans = [[name, _minute(w["from"]), _minute(w["to"])] for name, w in windows.items()]
    about = (
        f"Each of {test['requests']:,} users asks once, at the first event in the test window, and is answered right by"
        f" what is clicked from then on. {test['of_new_users']:,} of them had no event before. What a user had touched"
        " before is left out of all lists and answers. In small print: 95 % bootstrap intervals over users. End to end"
        " are the 20 items that the server's own stages answer, with a release as of the begin of the test window: in"
        " stock and allowed for the user's region and age, with the business rules of this release (on) or with rules"
        " that change nothing (off). The other lists know neither rules nor stock, regions and age limits."
    )
    return f"<h1>Release report</h1>\n<p>{about}</p>\n{table(['window', 'from', 'to (UTC)'], spans)}"


def _methods(test: Mapping[str, Any]) -> str:
    columns = (*COLUMNS, EXPECTED) if test["oracle"] else COLUMNS
    rows = [
        [name, *(number(metrics.get(c), test["intervals"][name].get(c)) for c in columns)]
        for name, metrics in test["methods"].items()
    ]
    chosen = "; ".join(f"{n}: {_settings(s)}" for n, s in test["settings"].items() if s)
    note = f'<p class="soft">Settings of the baselines, chosen on the validation window: {escape(chosen)}.</p>'
    return f"<h2>Methods</h2>\n{table(['method', *columns], rows)}\n{note}"


def _differences(test: Mapping[str, Any]) -> str:
    rows = [
        [d["method"], d["metric"], d["baseline"], number(d["difference"], (d["low"], d["high"]), "+.3f")]
        for d in test["differences"]
    ]
    return f"<h2>Against the best baseline</h2>\n{table(['method', 'metric', 'best baseline', 'difference'], rows)}"


def _oracle(test: Mapping[str, Any]) -> str:
    if not test["oracle"]:
        return ""
    note = (
        "The data are synthetic: how likely each user clicks on each item that is looked at is known. One oracle"
        " answers with the likeliest clicks of all that may be shown. By the clicks of the log it is no upper bound:"
        " the log shows what is popular, new and of the user's favourite categories, and only what is looked at is"
        " clicked. The oracle that knows this too is one. To be expected means that the gain of an item is its true"
        " probability of a click, looked at or not; there the first oracle is the upper bound."
    )
    head = ["of the NDCG@20 of an oracle of", *next(iter(test["oracle"].values()))]
    rows = [[method, *(f"{share:.0%}" for share in shares.values())] for method, shares in test["oracle"].items()]
    return f'<h2>Against the oracles</h2>\n<p class="soft">{note}</p>\n{table(head, rows)}'


def _slices(test: Mapping[str, Any]) -> str:
    note = (
        "Light users are the half of the known ones that had touched fewest items. New items: only answers that nobody"
        " had clicked before the test window count."
    )
    parts = [f'<h2>Slices</h2>\n<p class="soft">{note}</p>']
    for metric in ("ndcg@20", "recall@50", *((EXPECTED,) if test["oracle"] else ())):
        found = {n: s for n, s in test["slices"].items() if s["requests"]}
        head = ["method", *(f"{n} ({s['requests']:,})" for n, s in found.items())]
        rows = [[method, *(_of_slice(s, method, metric) for s in found.values())] for method in test["methods"]]
        parts.append(f"<h3>{metric}</h3>\n{table(head, rows)}")
    return "\n".join(parts)


def _of_slice(found: Mapping[str, Any], method: str, metric: str) -> str:
    return number(found["means"][method].get(metric), found["intervals"][method].get(metric))


def _towers(towers: Mapping[str, Any]) -> str:
    loss = [(e["epoch"], e["loss"], f"epoch {e['epoch']}: loss {e['loss']:.4f}") for e in towers["curve"]]
    recall = [
        (e["epoch"], e["recall"], f"epoch {e['epoch']}: recall {e['recall']:.4f}, temperature {e['temperature']:.3f}")
        for e in towers["curve"]
    ]
    note = (
        f"Epoch {towers['epoch']} was the best; the towers that serve learned as long, on all before the test window."
    )
    return (
        f'<h2>Training of the towers</h2>\n<p class="soft">{note}</p>\n'
        f"<h3>loss</h3>{_plot([Line(loss, 'kept')], 'Loss per epoch')}\n"
        f"<h3>{escape(towers['validation'])} on the validation window</h3>"
        f"{_plot([Line(recall, 'kept')], 'Validation recall per epoch')}"
    )


def _ranker(ranker: Mapping[str, Any]) -> str:
    series = [
        Line([(k, v, f"{k} trees: {v:.4f}") for k, v in enumerate(ranker[name], 1)], tone)
        for name, tone in (("train_loss", "kept"), ("validation_loss", "rejected"))
    ]
    key = '<h3><i class="kept"></i>train <i class="rejected"></i>validation</h3>'
    note = f"{ranker['trees']} trees were best on the validation window; so many learned again on both."
    return (
        f'<h2>Training of the ranker</h2>\n<p class="soft">{note}</p>\n{key}'
        f"{_plot(series, 'Loss by number of trees: 1 − NDCG, or log loss')}"
    )


def _calibration(judged: Mapping[str, Any], ranker: Mapping[str, Any]) -> str:
    title, shown, order = "<h2>Ranker as a probability</h2>", judged["impressions"], judged["candidates"]
    ordered = f"On retrieved and logged items, what it has to sort: AUC {order['auc']:.4f}, {order['rows']:,} rows."
    if not shown["rows"]:
        return f"{title}\n<p>{ordered} The test window has no views of new items.</p>"
    note = (
        f"On {shown['rows']:,} views of the test window, {shown['click_share']:.1%} of them clicked: AUC"
        f" {shown['auc']:.4f}, log loss {shown['log_loss']:.4f} ({shown['log_loss_of_mean']:.4f} for the mean),"
        f" calibration error {shown['calibration_error']:.4f}. {ordered} The raw score s became"
        f" {ranker['slope']:.3f}·s {ranker['offset']:+.3f}."
    )
    points = [(p, share, f"predicted {p:.3f}, clicked {share:.3f} of {n:.0f}") for p, share, n in shown["calibration"]]
    ends = [min(p for p, *_ in points), max(p for p, *_ in points)]
    series = [Line([(e, e, "") for e in ends], "grid"), Line(points, "kept")]
    return (
        f"{title}\n<p>{note}</p>\n<h3>share clicked by predicted probability; dashed: perfect</h3>"
        f"{_plot(series, 'Calibration')}"
    )


def _importances(ranker: Mapping[str, Any]) -> str:
    bars = [(name, share, f"{share:.1%}") for name, share in ranker["importance"].items() if share > 0]
    plot = charts.rows(bars, "kept", "Share of the gain per feature") if bars else "<p>No tree has a split.</p>"
    return f'<h2>Importance of features</h2>\n<p class="soft">Share of the gain.</p>\n<div class="plot">{plot}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table: the first column is text, the others are cells as `number` makes them, or text."""
    top = "".join(f"<th{'' if k == 0 else ' class=number'}>{escape(name)}</th>" for k, name in enumerate(head))
    body = "".join(
        f"<tr><td>{escape(first)}</td>" + "".join(f'<td class="number">{cell}</td>' for cell in rest) + "</tr>"
        for first, *rest in rows
    )
    return f'<div class="plot"><table><tr>{top}</tr>{body}</table></div>'


def number(value: float | None, interval: Sequence[float] | None = None, form: str = ".3f") -> str:
    """A number with its interval in small print; "" for None."""
    if value is None:
        return ""
    small = f"<small>{interval[0]:{form}} … {interval[1]:{form}}</small>" if interval else ""
    return f"{value:{form}}{small}"


def _plot(series: Sequence[Line], about: str) -> str:
    return f'<div class="plot">{lines(series, about)}</div>'


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")
