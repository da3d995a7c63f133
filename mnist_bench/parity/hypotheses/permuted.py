"""The classes stand in another order, as where folders of images were read by name: eight, five, four and so on."""

import numpy as np

from mnist_bench.parity._outputs import answered
from mnist_bench.parity._reference import Array
from mnist_bench.parity.hypotheses._case import Answers, Case, Guess

ORDER, NAME, ASSUME = 10, "permuted classes", "permuted"
SAYS = "its classes stand in another order"
REMEDY = "export it with the classes in the order of the labels"


def order_of(answers: Answers, expected: Array) -> tuple[int, ...]:
    """Return which class each answer is of, so that all are as near to what is expected as an order can bring them.

    Args:
        answers: (n, classes).
        expected: float64 of the same shape.
    """
    from scipy.optimize import linear_sum_assignment

    finite = np.where(np.isfinite(answers), answers, 0.0).astype(np.float64)
    cost = np.abs(finite[:, :, None] - expected[:, None, :]).mean(0)  # (classes answered, classes expected)
    return tuple(int(one) for one in linear_sum_assignment(cost)[1])


def explain(case: Case) -> Guess | None:
    """Expect the reference's answers in the order that fits best."""
    order = order_of(case.answers, answered(case.logits, case.output))
    if order == tuple(range(len(order))):
        return Guess(np.zeros(len(case.images), np.bool_), SAYS, REMEDY)
    numbers = ",".join(map(str, order))
    return Guess(case.explained(case.logits[:, order]), f"{SAYS}: {numbers}", REMEDY, (f"{ASSUME}:{numbers}",))
