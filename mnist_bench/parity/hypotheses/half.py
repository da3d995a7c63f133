"""Half precision somewhere: the weights, the pixels or the answers have been rounded to it."""

from collections.abc import Iterator

from mnist_bench.parity.hypotheses import bfloat16
from mnist_bench.parity.hypotheses._case import Case, Guess, Hits
from mnist_bench.parity.hypotheses._narrow import answers_have, half, most, narrowed, nearest

ORDER, NAME, PRECISIONS = 13, "half precision somewhere", ("fp32",)
BITS = 10
SAYS = "half precision is in it, fp16"
REMEDY = "export it in float32"
AS_IT_IS = f"{REMEDY}, or verify it as what it is: --precision fp16"


def explain(case: Case) -> Guess:
    """Expect the answers of weights or of pixels that are rounded, or answers that are such numbers."""

    def found() -> Iterator[tuple[str, Hits]]:
        for what, hits in narrowed(case, [half], BITS):
            # Numbers of bfloat16 are all numbers of half precision too, unless they are too large or too small.
            answers = what == "its answers"
            yield what, hits & ~answers_have(case, nearest(bfloat16.BITS), bfloat16.BITS) if answers else hits

    what, hits = most(found())
    return Guess(hits, f"{SAYS}: {what} are rounded to it", AS_IT_IS if case.computes == "fp16" else REMEDY)
