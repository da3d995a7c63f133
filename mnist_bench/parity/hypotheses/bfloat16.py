"""bfloat16 somewhere: the weights or the pixels have been rounded to it, or cut off, or the answers are."""

from mnist_bench.parity.hypotheses._case import Case, Guess
from mnist_bench.parity.hypotheses._narrow import most, narrowed, nearest, truncated

ORDER, NAME, PRECISIONS = 14, "bfloat16 somewhere", ("fp32",)
BITS = 7
SAYS = "bfloat16 is in it"
REMEDY = "export it in float32"


def explain(case: Case) -> Guess:
    """Expect the answers of weights or of pixels that are rounded or cut off, or answers that are such numbers."""
    what, hits = most(narrowed(case, [nearest(BITS), truncated(BITS)], BITS))
    return Guess(hits, f"{SAYS}: {what} are rounded to it, or cut off", REMEDY)
