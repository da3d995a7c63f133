"""What it answers to an image depends on the others of its batch: batch normalisation in training mode, say."""

import numpy as np

from mnist_bench.parity.hypotheses._case import Answers, Case, Guess, Hits

ORDER, NAME, ASKS = 11.5, "answers that depend on the batch", True
SAYS = (
    "its answers to an image change with the others of its batch, as those of a batch normalisation in training mode do"
)
REMEDY = "export it in evaluation mode (model.eval()), without a softmax or a mean over the batch"

FACTOR = 2.0**-10
"""A number that changes by more than this share of itself is another one: rounding in another order changes it less,
unless it is nearly nothing."""


def explain(case: Case) -> Guess | None:
    """Ask about the images in other company, and expect that answers change, though they do not by themselves."""
    if case.signature.batch == 1:
        return None
    ask = case.together or case.ask
    usual, again, apart = ask(case.images), ask(case.images), np.empty_like(case.answers)
    for part in (slice(0, None, 2), slice(1, None, 2)):
        found = ask(case.images[part])
        if found.shape != apart[part].shape or usual.shape != apart.shape:
            return Guess(None, SAYS, reason="it gives no answer for each image")
        apart[part] = found
    changed = _differs(usual, apart) & ~_differs(usual, again)
    return Guess(changed | case.right() if changed.any() else changed, SAYS, REMEDY)


def _differs(one: Answers, other: Answers) -> Hits:
    size = np.maximum(np.abs(one), np.abs(other))
    return np.asarray((np.abs(one - other) > FACTOR * size).any(1), np.bool_)
