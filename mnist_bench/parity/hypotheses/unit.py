"""The model wants pixels as the reference does, in [0, 1], and something else was assumed or written down."""

from mnist_bench.parity.hypotheses._case import Case, Images

ORDER, NAME, ASSUME = 4, "pixels in [0, 1]", "unit"
SAYS = "it wants pixels in [0, 1]"
REMEDY = "correct its signature"


def asked(case: Case) -> Images | None:
    """Ask about pixels as they are."""
    return case.as_if("unit")
