"""The model takes images for dark on light, as they are on paper, and MNIST's are light on dark."""

from mnist_bench.parity.hypotheses._case import Case, Images

ORDER, NAME, ASSUME = 6, "inverted images", "inverted"
SAYS = "it inverts images: it wants them dark on light, 1 - pixel"
REMEDY = "export it without the inversion"


def asked(case: Case) -> Images | None:
    """Ask about inverted images."""
    return case.as_if("inverted")
