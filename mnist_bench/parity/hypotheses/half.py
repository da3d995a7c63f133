"""Half precision somewhere: the weights have been rounded to it, or the last layer is computed in it."""

from collections.abc import Iterator

from mnist_bench.parity.hypotheses._case import Case, Guess, Hits
from mnist_bench.parity.hypotheses._narrow import answers_have, explained_by, half, most, variants

ORDER, NAME, PRECISIONS = 13, "half precision somewhere", ("fp32",)
BITS = 10
SAYS = "half precision is in it, fp16: its weights are rounded to it, or its answers"
REMEDY = "export it in float32, or verify it as what it is: --precision fp16"


def explain(case: Case) -> Guess:
    """Expect the answers of weights that are rounded, or answers that are such numbers."""

    def found() -> Iterator[Hits]:
        yield answers_have(case, half, BITS)
        if case.weights:
            yield from (explained_by(case, weights) for weights in variants(case.weights, half))

    return Guess(most(found()), SAYS, REMEDY)
