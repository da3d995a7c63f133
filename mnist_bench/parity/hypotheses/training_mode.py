"""Dropout is still on: the model was exported in training mode, and draws at random what it leaves out."""

import numpy as np

from mnist_bench.parity.hypotheses._case import Case, Guess

ORDER, NAME, ASKS = 11, "dropout still on", True
SAYS = "its answers change from one time to the next: dropout is still on, as in training"
REMEDY = "export it in evaluation mode (model.eval())"

FACTOR = 2.0**-10
"""A number that changes by more than this share of itself is another one: rounding in another order changes it less."""


def explain(case: Case) -> Guess:
    """Ask twice, and expect that no two answers are alike, or right: of a black image nothing can be left out."""
    first, second = (case.ask(case.images) for _ in range(2))
    if first.shape != second.shape:
        return Guess(np.ones(len(case.images), np.bool_), SAYS, REMEDY)
    size = np.maximum(np.abs(first), np.abs(second))
    changed = (np.abs(first - second) > FACTOR * size).any(1)
    if not changed.any():
        return Guess(changed, SAYS, REMEDY)
    return Guess(np.asarray(changed | case.right(), np.bool_), SAYS, REMEDY)
