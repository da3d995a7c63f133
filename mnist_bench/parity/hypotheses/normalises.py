"""The model normalises pixels before a network that was trained on pixels as they are."""

import numpy as np

from mnist_bench.core.signature import DEVIATION, MEAN
from mnist_bench.parity.hypotheses._case import Case, Images

ORDER, NAME = 8, "normalised once too often"
SAYS = f"it normalises pixels itself, with mean {MEAN} and deviation {DEVIATION}; the reference does not"
REMEDY = "export it without the normalisation, or compare it with a network that was trained on normalised pixels"


def asked(case: Case) -> Images | None:
    """Ask about pixels that are right once they are normalised."""
    if case.signature.pixels != "unit":
        return None
    return np.asarray(case.images * np.float32(DEVIATION) + np.float32(MEAN), np.float32)
