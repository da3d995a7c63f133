"""Dropout is still on: the model was exported in training mode, and draws at random what it leaves out."""

import numpy as np

from mnist_bench.parity.hypotheses._case import Case, Guess, changed

ORDER, NAME, ASKS = 11, "dropout still on", True
SAYS = "its answers change from one time to the next: dropout is still on, as in training"
REMEDY = "export it in evaluation mode (model.eval())"


def explain(case: Case) -> Guess:
    """Ask twice, and expect that no two answers are alike, or right: of a black image nothing can be left out."""
    first, second = (case.ask(case.images) for _ in range(2))
    if first.shape != second.shape:
        return Guess(np.ones(len(case.images), np.bool_), SAYS, REMEDY)
    other = changed(first, second)
    return Guess(other | case.right() if other.any() else other, SAYS, REMEDY)
