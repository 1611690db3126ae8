"""Scores that are probabilities: the forest's answer, bent so that it says how often a shown item is clicked.

The forest learns on a mix of impressions and retrieved items that nobody was shown, which is right for ranking and
wrong as a probability. A logistic line from its raw score to the clicks of held-out impressions (Platt's) puts that
right; it rises, so no order changes, and it is folded into the leaves, so the forest stays one file.
"""

from __future__ import annotations

from dataclasses import dataclass

import lightgbm
import numpy as np

LEAST_SLOPE = 0.05  # the order of the scores is kept even where impressions say nothing about it
_STEPS = 50
_RIDGE = 1.0  # pulls the slope towards 1, by about one row


@dataclass(frozen=True)
class Line:
    """The calibrated raw score is slope · raw + offset."""

    slope: float
    offset: float

    def __call__(self, raw: np.ndarray) -> np.ndarray:
        """Probabilities of raw scores (n,)."""
        return sigmoid(self.slope * raw + self.offset)


def sigmoid(raw: np.ndarray) -> np.ndarray:
    """Raw scores to probabilities."""
    return 1 / (1 + np.exp(-raw))


def fit_line(raw: np.ndarray, labels: np.ndarray) -> Line:
    """The logistic line of greatest likelihood from raw scores (n,) to labels (n,) of 0 and 1, by Newton's method.

    Labels of one kind only give no line that rises; then the scores stay as they are.
    """
    if not 0 < labels.sum() < len(labels):
        return Line(1.0, 0.0)
    design = np.stack([raw, np.ones(len(raw))], axis=1)
    line = np.array([1.0, 0.0])
    for _ in range(_STEPS):
        p = sigmoid(design @ line)
        gradient = design.T @ (p - labels) + _RIDGE * (line - [1.0, line[1]])
        curve = (design * (p * (1 - p))[:, None]).T @ design + np.diag([_RIDGE, 1e-9])
        step = np.linalg.solve(curve, gradient)
        line = line - np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-10:
            break
    return _rising(Line(float(line[0]), float(line[1])), raw, labels)


def _rising(line: Line, raw: np.ndarray, labels: np.ndarray) -> Line:
    """The line itself, or one with the least slope and the offset at which the mean is right."""
    if line.slope >= LEAST_SLOPE:
        return line
    low, high = -50.0, 50.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if sigmoid(LEAST_SLOPE * raw + middle).mean() < labels.mean() else (low, middle)
    return Line(LEAST_SLOPE, (low + high) / 2)


def fold_in(booster: lightgbm.Booster, line: Line) -> None:
    """Change the leaves of the forest so that its own answer is the calibrated one."""
    for tree, about in enumerate(booster.dump_model()["tree_info"]):
        offset = line.offset if tree == 0 else 0.0
        for leaf in range(about["num_leaves"]):
            booster.set_leaf_output(tree, leaf, line.slope * booster.get_leaf_output(tree, leaf) + offset)
