"""When two trainings are the same but for rounding.

Rounding differs from processor to processor, and grows: where it carries one pre-activation of one image over zero,
ReLU's slope jumps, and with it the step of all weights of that unit, by up to the learning rate. So no single weight
can be bounded over several steps. All of them together can: a few such jumps are a ten-thousandth of the way that a
training goes, while another mask, order or rate shows in a hundredth of it and more.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

SAME = 0.003


def drift(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], start: Mapping[str, Tensor]) -> float:
    """Return how far two trainings are apart, as a share of the way from their start: sums of |Δ| over all tensors."""
    apart, gone = (
        sum(float((one[name].cpu().double() - other[name].cpu().double()).abs().sum()) for name in expected)
        for one, other in ((found, expected), (expected, start))
    )
    return apart / gone


def zeros(like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return where Adam's state starts."""
    return {name: torch.zeros_like(value) for name, value in like.items()}
