from __future__ import annotations

import xml.etree.ElementTree as ET

from trident_export.index_plot import COLOURS, frontier, frontier_plot


def point(factory: str, cpu_ms: float, recall: float, share: float = 1.0) -> dict[str, object]:
    times = {"p50_ms": 2 * cpu_ms, "p99_ms": 3 * cpu_ms, "cpu_ms": cpu_ms}
    return {"factory": factory, "k_factor": 1.0, "nprobe": 4, "share": share, "recall": recall, **times}


def test_the_frontier_leaves_out_what_another_point_beats():
    points = [point("a", 2, 0.9), point("a", 1, 0.85), point("a", 3, 0.89), point("a", 2.5, 0.95)]
    assert [p["recall"] for p in frontier(points)] == [0.85, 0.9, 0.95]


def test_the_plot_is_svg_with_a_line_per_kind_and_only_what_has_no_filter():
    points = [
        point("IVF<64>,SQ8", 1, 0.9),
        point("IVF<64>,SQ8", 2, 0.97),
        point("Flat", 9, 1.0),
        point("x", 1, 0.99, 0.3),
    ]
    root = ET.fromstring(frontier_plot(points, 0.95))
    space = "{http://www.w3.org/2000/svg}"
    lines = root.findall(f"{space}polyline")
    assert [line.get("stroke") for line in lines] == list(COLOURS[:2])
    assert sum(1 for _ in root.iter(f"{space}circle")) == 3
    assert any("IVF<64>,SQ8" in (title.text or "") for title in root.iter(f"{space}title"))


def test_nothing_measured_is_drawn_too():
    ET.fromstring(frontier_plot([], 0.95))
