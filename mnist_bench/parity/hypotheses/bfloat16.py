"""bfloat16 somewhere: the weights have been rounded to it, or cut off, or the last layer computes in it."""

from collections.abc import Iterator

from mnist_bench.parity.hypotheses._case import Case, Guess, Hits
from mnist_bench.parity.hypotheses._narrow import answers_have, explained_by, most, nearest, truncated, variants

ORDER, NAME, PRECISIONS = 14, "bfloat16 somewhere", ("fp32",)
BITS = 7
SAYS = "bfloat16 is in it: its weights are rounded to it, or its answers"
REMEDY = "export it in float32"


def explain(case: Case) -> Guess:
    """Expect the answers of weights that are rounded or cut off, or answers that are such numbers."""

    def found() -> Iterator[Hits]:
        yield answers_have(case, nearest(BITS), BITS)
        for rounding in (nearest(BITS), truncated(BITS)) if case.weights else ():
            assert case.weights
            yield from (explained_by(case, weights) for weights in variants(case.weights, rounding))

    return Guess(most(found()), SAYS, REMEDY)
