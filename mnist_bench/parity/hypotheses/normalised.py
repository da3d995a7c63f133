"""The model wants normalised pixels, and takes the normalisation back before the network."""

from mnist_bench.core.signature import DEVIATION, MEAN
from mnist_bench.parity.hypotheses._case import Case, Images

ORDER, NAME, ASSUME = 5, f"pixels of mean {MEAN} and deviation {DEVIATION}", "normalised"
SAYS = f"it wants pixels that are normalised with mean {MEAN} and deviation {DEVIATION}"
REMEDY = "export it without what takes that back"


def asked(case: Case) -> Images | None:
    """Ask about normalised pixels."""
    return case.as_if("normalised")
