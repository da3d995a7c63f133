"""The model divides by 255 itself, and gets pixels that have been divided already."""

from mnist_bench.parity.hypotheses._case import Case, Images

ORDER, NAME, ASSUME = 3, "pixels × 255", "bytes"
SAYS = "it divides pixels by 255 itself: it wants them from 0 to 255"
REMEDY = "export it without the division"


def asked(case: Case) -> Images | None:
    """Ask about pixels from 0 to 255."""
    return case.as_if("bytes")
