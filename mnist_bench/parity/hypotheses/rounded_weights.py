"""The weights have been rounded: written as text with too few digits, or cut off after some bits."""

from collections.abc import Iterator

import numpy as np

from mnist_bench.parity._reference import Array
from mnist_bench.parity.hypotheses._case import Case, Guess
from mnist_bench.parity.hypotheses._narrow import Rounding, explained_by, nearest, truncated, variants

ORDER, NAME, PRECISIONS = 15, "rounded or truncated weights", ("fp32",)
SAYS = "its weights are rounded"
REMEDY = "write them with all their bits, or with nine digits"

DIGITS, BITS = range(2, 8), (8, 9, 11, 12, 13, 14, 16)
"""After the point; and after the first one, but for those of bfloat16 and of half precision."""
HALF_BITS = 10


def digits(count: int) -> Rounding:
    """Return what rounds numbers to so many digits after the point."""

    def rounded(values: Array) -> Array:
        return np.asarray(np.round(values, count), np.float64)

    return rounded


def roundings() -> Iterator[tuple[str, Rounding]]:
    """Yield what may have been done to weights, in words."""
    for count in DIGITS:
        yield f"its weights are rounded to {count} digits after the point", digits(count)
    for count in BITS:
        yield f"its weights are rounded to {count} bits after the first", nearest(count)
    for count in sorted((HALF_BITS, *BITS)):
        yield f"its weights are cut off after {count} bits behind the first", truncated(count)


def explain(case: Case) -> Guess:
    """Expect the answers of weights that are rounded; the way that explains most."""
    best = Guess(np.zeros(len(case.images), np.bool_), SAYS, REMEDY)
    if case.reference is None:
        return Guess(None, SAYS, reason="the reference's weights are not known")
    for says, rounding in roundings():
        for network in variants(case.reference, rounding):
            hits = explained_by(case, network)
            if best.hits is not None and hits.sum() > best.hits.sum():
                best = Guess(hits, says, REMEDY)
    return best
