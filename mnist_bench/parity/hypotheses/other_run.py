"""It has other weights: those of another run that lies here."""

import numpy as np

from mnist_bench.parity.hypotheses._case import Case, Guess
from mnist_bench.parity.hypotheses._narrow import explained_by

ORDER, NAME = 12, "weights of another run"
SAYS = "it has the weights of another run"
REMEDY = "compare it with that run (--run), or export this one anew"


def explain(case: Case) -> Guess:
    """Expect the answers of each run that lies beside this one; the one that explains most."""
    best, tried = Guess(np.zeros(len(case.images), np.bool_), SAYS, REMEDY), 0
    for name, weights in case.others():
        tried += 1
        hits = explained_by(case, weights)
        if best.hits is not None and hits.sum() > best.hits.sum():
            best = Guess(hits, f"it has the weights of run {name}", REMEDY)
    return best if tried else Guess(None, SAYS, reason="no other run with weights lies here")
