"""Single values from a server's Prometheus page."""

from __future__ import annotations

import re
import urllib.request

_LINE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(\{(?P<labels>.*)\})? (?P<value>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def scraped(metrics: str, name: str, timeout: float = 5.0, **labels: str) -> float:
    """The value now on the page of `metrics`, host and port, see `total`; raises OSError when there is no page."""
    with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=timeout) as page:
        return total(page.read().decode(), name, **labels)


def total(text: str, name: str, **labels: str) -> float:
    """The sum of all series called `name` that have these labels, among others; 0 when there is none."""
    wanted = set(labels.items())
    lines = (line for line in _LINE.finditer(text) if line["name"] == name)
    return sum(float(line["value"]) for line in lines if wanted <= set(_LABEL.findall(line["labels"] or "")))
