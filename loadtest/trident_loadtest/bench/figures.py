"""The figures that every report has, as plain values for JSON, from one run or from several that are alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

import numpy as np

from trident_loadtest.bench.memory import Memory, memory_by_name
from trident_loadtest.bench.observed import Observed, added
from trident_loadtest.bench.samples import SHARES, Samples, merged, percentiles
from trident_loadtest.bench.session import Run
from trident_loadtest.bench.target import Target

TEXTS = 10  # different texts of errors in a report


def figures(runs: Sequence[Run], target: Target) -> dict[str, Any]:
    """Latencies of each run, their medians and those of all requests together, and what the runs cost the server."""
    answers = sum(int(run.samples.answered.sum()) for run in runs)
    histograms = [run.samples.histogram() for run in runs]
    each = [percentiles(histogram) for histogram in histograms]
    total = merged(histograms)
    return {
        "runs": [of_run(run.samples) for run in runs],
        "latency_ms": {
            "median_of_runs": {name: median(one[name] for one in each) for name in SHARES},
            "all_requests": percentiles(total),
            "hdr_histogram_us": total.encode().decode(),
        },
        "errors": errors([run.samples for run in runs]),
        "degraded": degraded([run.samples for run in runs]),
        "degraded_share": sum(run.samples.lacking() for run in runs) / max(1, answers),
        "answers_without_items": sum(int((run.samples.items[run.samples.answered] == 0).sum()) for run in runs),
        "releases": sorted({int(r) for run in runs for r in np.unique(run.samples.release[run.samples.answered])}),
        "server": cost(added([run.observed for run in runs]), answers),
        "memory_bytes": memory(target),
    }


def of_run(samples: Samples) -> dict[str, Any]:
    """One run: what was sent and answered, how fast, and how the generator did."""
    return {
        "requests": len(samples),
        "answers": int(samples.answered.sum()),
        "rate": round((len(samples) - 1) / samples.seconds, 3) if samples.seconds else None,
        "latency_ms": percentiles(samples.histogram()),
        "generator": generator(samples),
    }


def generator(samples: Samples) -> dict[str, Any]:
    """How late requests were sent, in milliseconds, and what sending them took."""
    lag = np.percentile(samples.lag_ms, (50, 99, 100))
    return {
        "lag_ms": dict(zip(("p50", "p99", "max"), np.round(lag, 3).tolist(), strict=True)),
        "share_of_a_core": round(samples.cpu_share, 4),
        "processes": samples.processes,
        "priority": samples.priority,
    }


def errors(parts: Sequence[Samples]) -> dict[str, Any]:
    """How many requests failed, by code, and the most frequent texts."""
    kinds: Counter[str] = sum((Counter(part.error_kinds()) for part in parts), Counter())
    texts: Counter[str] = sum((part.errors for part in parts), Counter())
    return {"count": sum(kinds.values()), "by_code": dict(kinds.most_common()), "texts": dict(texts.most_common(TEXTS))}


def degraded(parts: Sequence[Samples]) -> dict[str, float]:
    """Share of all answers that named each reason."""
    answers = sum(int(part.answered.sum()) for part in parts)
    counts: Counter[str] = Counter()
    for part in parts:
        for reason, share in part.degraded().items():
            counts[reason] += round(share * int(part.answered.sum()))
    return {reason: count / answers for reason, count in counts.items()}


def cost(observed: Observed, answers: int) -> dict[str, Any]:
    """Processor time per answer, time per stage and what the cache had; empty where the server is elsewhere."""
    users = sum(observed.cache.values())
    cpu = {name: 1000 * seconds / answers for name, seconds in observed.cpu_s.items()} if answers else {}
    dearest = dict(sorted(cpu.items(), key=lambda pair: -pair[1]))
    return {
        "cpu_ms_per_answer": {"total": sum(cpu.values()), **dearest} if cpu else {},
        "stages": {
            name: {
                "requests": spent.requests,
                "queue_ms": spent.queue_ns / spent.requests / 1e6,
                "compute_ms": spent.mean_ms,
            }
            for name, spent in observed.stages.items()
            if spent.requests
        },
        "embedding_cache": {kind: count / users for kind, count in observed.cache.items()} if users else {},
        "degraded_counted": dict(observed.degraded),
    }  # fmt: skip


def memory(target: Target) -> dict[str, Any]:
    """What all processes hold now, shared pages counted once; empty where the server is elsewhere."""
    found = memory_by_name(target.processes())
    if not found:
        return {}
    total = sum(found.values(), Memory())
    by_process = {name: one.pss for name, one in sorted(found.items(), key=lambda pair: -pair[1].pss)}
    return {**asdict(total), "by_process": by_process}
