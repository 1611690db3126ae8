"""Ends the work of a tritonserver in good order: what it has accepted is answered, what comes later is refused.

SIGTERM alone does not: Triton 24.10 goes on serving as long as an HTTP client keeps its connection, and when its
patience is over it drops whatever is in flight. Unloading a model does: it refuses new requests at once and waits for
those that it has.
"""

from __future__ import annotations

import time

from trident.contract import FEEDBACK, LEAVES, RECOMMEND_AB
from trident.errors import Unavailable
from trident.serving.model_control import ModelControl

INNER = frozenset(leaf.name for leaf in LEAVES) - {FEEDBACK.name}
"""Models that requests to others need: they end last."""

OUTER = frozenset({RECOMMEND_AB.name})
"""Models whose requests need the ensembles: they end first."""

ALONE = frozenset({FEEDBACK.name})
"""Callers ask it, and it asks no other model: nobody has to wait until it has ended."""

GONE = "UNAVAILABLE"


def drain(control: ModelControl, patience: float) -> None:
    """Unload every model, those first that callers ask, and wait for at most `patience` seconds until they have ended.

    When the server refuses or does not answer there is nothing left to wait for.
    """
    end = time.monotonic() + patience
    try:
        loaded = _there(control)
        _unload(control, loaded & OUTER)
        _wait(control, loaded & OUTER, end)
        _unload(control, loaded - INNER - OUTER)
        _wait(control, loaded - INNER - ALONE, end)
        _unload(control, loaded & INNER)
        _wait(control, loaded, end)
    except Unavailable:
        return


def _there(control: ModelControl) -> set[str]:
    return {model for (model, _), state in control.states().items() if state != GONE}


def _unload(control: ModelControl, models: set[str]) -> None:
    for model in sorted(models):
        control.unload(model)


def _wait(control: ModelControl, models: set[str], end: float) -> None:
    while models & _there(control) and time.monotonic() < end:
        time.sleep(0.02)
