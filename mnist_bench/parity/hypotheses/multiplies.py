"""The model multiplies pixels by 255, for a network that was trained on pixels from 0 to 255."""

import numpy as np

from mnist_bench.parity.hypotheses._case import Case, Images

ORDER, NAME = 9, "pixels × 255 in the graph"
SAYS = "it multiplies pixels by 255 itself; the reference does not"
REMEDY = "export it without the multiplication, or compare it with a network that was trained on pixels from 0 to 255"


def asked(case: Case) -> Images | None:
    """Ask about pixels that are right once they are multiplied."""
    return np.asarray(case.images / np.float32(255), np.float32) if case.signature.pixels == "unit" else None
