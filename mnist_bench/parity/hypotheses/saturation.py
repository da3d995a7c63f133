"""Sums of two products of bytes leave 16 bits, and the processor's kernels add them in so many."""

import numpy as np

from mnist_bench.parity.hypotheses._case import Case, Guess, within

ORDER, NAME, PRECISIONS = 17, "int8 that saturates here", ("int8", "int8-dynamic")
SAYS = "it saturates on this processor: sums of two products leave 16 bits"
REMEDY = "quantise it with weights of 7 bits (onnxruntime's reduce_range=True; mnist-bench export does)"


def explain(case: Case) -> Guess:
    """Expect answers that only a kernel which saturates can give."""
    proof = case.proof()
    if proof is None:
        return Guess(None, SAYS, reason="nothing is proved of this file")
    if within(case.answers, proof.without_saturation).all():
        return Guess(np.zeros(len(case.images), np.bool_), SAYS, REMEDY)
    return Guess(within(case.answers, proof.any), SAYS, REMEDY)
