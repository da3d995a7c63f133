"""What it answers to an image depends on the others of its batch: batch normalisation in training mode, say."""

import numpy as np

from mnist_bench.parity.hypotheses._case import Case, Guess, changed

ORDER, NAME, ASKS = 11.5, "answers that depend on the batch", True
SAYS = (
    "its answers to an image change with the others of its batch, as those of a batch normalisation in training mode do"
)
REMEDY = "export it in evaluation mode (model.eval()), without a softmax or a mean over the batch"


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
    other = changed(usual, apart) & ~changed(usual, again)
    return Guess(other | case.right() if other.any() else other, SAYS, REMEDY)
