"""What a step does between its matrix products, each as one Triton kernel: a small kernel costs as much as a product.

Everything is float32 and contiguous, `n` images; sums are a layer's products without its bias. Importing this imports
Triton.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import triton
import triton.language as tl
from torch import Tensor

from mnist_bench.core.architecture import CLASSES, HIDDEN_1, HIDDEN_2
from mnist_bench.core.kinds import Activation

BLOCK = 1024
COLUMNS, ROWS = 16, 32


def hidden(sums: Tensor, bias: Tensor, mask: Tensor, dropped: Tensor, activation: Activation) -> None:
    """Turn layer 1's sums (n, 512) into activations, in place, and write those times the mask into `dropped`."""
    _hidden[_blocks(sums)](sums, bias, mask, dropped, sums.numel(), activation == "relu", HIDDEN_1, BLOCK)


def head(
    sums: Tensor,
    weight: Tensor,
    biases: tuple[Tensor, Tensor],
    labels: Tensor,
    outputs: tuple[Tensor, Tensor, Tensor],
    activation: Activation,
) -> None:
    """Go from layer 2's sums to the logits and back again, an image at a time.

    Args:
        sums: (n, 256); turned into activations in place.
        weight: layer 3's (10, 256).
        biases: layer 2's (256,) and layer 3's (10,).
        labels: int64 (n,).
        outputs: receive the logits (n, 10), and the gradients of the mean cross-entropy for the logits (n, 10), which
            is (softmax - one-hot) / n, and for layer 2's sums (n, 256).
        activation: of layer 2.
    """
    images = len(sums)
    _head[(images,)](
        sums, weight, *biases, labels, *outputs, images, activation == "relu", HIDDEN_2, CLASSES,
        triton.next_power_of_2(CLASSES),
    )  # fmt: skip


def through_hidden(gradient: Tensor, activations: Tensor, mask: Tensor, activation: Activation) -> None:
    """Multiply the gradient (n, 512) of what layer 1 passes on by the mask and the activation's slope, in place."""
    _through_hidden[_blocks(gradient)](gradient, activations, mask, gradient.numel(), activation == "relu", BLOCK)


def small_gradients(of_logits: Tensor, activations: Tensor, of_sums: Tensor, *outputs: Tensor) -> None:
    """Compute the gradients that are sums over few columns: layer 2's bias, layer 3's weight and bias.

    Args:
        of_logits: the gradient of the logits (n, 10).
        activations: layer 2's (n, 256).
        of_sums: the gradient of layer 2's sums (n, 256).
        outputs: receive the gradients of the biases (256,) and (10,), and between them of the weight (10, 256).
    """
    padded = triton.next_power_of_2(CLASSES)
    _small_gradients[(HIDDEN_2 // COLUMNS,)](
        of_logits, activations, of_sums, *outputs, len(of_logits), HIDDEN_2, CLASSES, padded, COLUMNS, ROWS
    )


def column_sums(values: Tensor, sums: Tensor) -> None:
    """Sum values (n, 512) over the images, into (512,)."""
    _column_sums[(HIDDEN_1 // COLUMNS,)](values, sums, len(values), HIDDEN_1, COLUMNS, ROWS)


def adam(
    values: tuple[Tensor, ...],
    corrections: Tensor,
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float,
) -> None:
    """Take a step of Adam (Kingma and Ba 2015, in PyTorch's arrangement), in place.

    Args:
        values: parameters, gradients, averages of the gradients, averages of their squares, each (p,).
        corrections: (2,), on the device: 1 / (1 - beta_1^t) and 1 / sqrt(1 - beta_2^t) at step t.
        learning_rate: the step size.
        betas: the averages' decays.
        epsilon: what is added to the root.
    """
    _adam[_blocks(values[0])](*values, corrections, values[0].numel(), learning_rate, *betas, epsilon, BLOCK)


def _blocks(values: Tensor) -> tuple[int]:
    return (triton.cdiv(values.numel(), BLOCK),)


@triton.jit
def _activated(sums, relu: tl.constexpr):
    if relu:
        return tl.maximum(sums, 0.0)
    return 1 / (1 + tl.exp(-sums))


@triton.jit
def _slope(activations, relu: tl.constexpr):
    if relu:
        return (activations > 0).to(tl.float32)
    return activations * (1 - activations)


@triton.jit
def _hidden(sums, bias, mask, dropped, count, relu: tl.constexpr, width: tl.constexpr, block: tl.constexpr):
    places = tl.program_id(0) * block + tl.arange(0, block)
    there = places < count
    activations = _activated(tl.load(sums + places, there) + tl.load(bias + places % width), relu)
    tl.store(sums + places, activations, there)
    tl.store(dropped + places, activations * tl.load(mask + places, there), there)


@triton.jit
def _through_hidden(gradient, activations, mask, count, relu: tl.constexpr, block: tl.constexpr):
    places = tl.program_id(0) * block + tl.arange(0, block)
    there = places < count
    slope = _slope(tl.load(activations + places, there), relu) * tl.load(mask + places, there)
    tl.store(gradient + places, tl.load(gradient + places, there) * slope, there)


@triton.jit
def _head(
    sums, weight, bias_2, bias_3, labels, logits, of_logits, of_sums, images,
    relu: tl.constexpr, width: tl.constexpr, classes: tl.constexpr, padded: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(0)
    units, digits = tl.arange(0, width), tl.arange(0, padded)
    there = digits < classes
    activations = _activated(tl.load(sums + image * width + units) + tl.load(bias_2 + units), relu)
    tl.store(sums + image * width + units, activations)
    rows = tl.load(weight + digits[:, None] * width + units[None, :], there[:, None], other=0.0)
    found = tl.sum(rows * activations[None, :], 1) + tl.load(bias_3 + digits, there, other=-float("inf"))
    tl.store(logits + image * classes + digits, found, there)
    powers = tl.exp(found - tl.max(found, 0))
    target = (digits == tl.load(labels + image)).to(tl.float32)
    gradient = (powers / tl.sum(powers, 0) - target) / images
    tl.store(of_logits + image * classes + digits, gradient, there)
    back = tl.sum(rows * gradient[:, None], 0) * _slope(activations, relu)
    tl.store(of_sums + image * width + units, back)


@triton.jit
def _small_gradients(
    of_logits, activations, of_sums, of_bias_2, of_weight, of_bias_3, images,
    width: tl.constexpr, classes: tl.constexpr, padded: tl.constexpr, columns: tl.constexpr, rows: tl.constexpr,
):  # fmt: skip
    units, digits = tl.program_id(0) * columns + tl.arange(0, columns), tl.arange(0, padded)
    weight = tl.zeros((padded, columns), tl.float32)
    bias_2, bias_3 = tl.zeros((columns,), tl.float32), tl.zeros((padded,), tl.float32)
    for start in range(0, images, rows):
        places = start + tl.arange(0, rows)
        there = (places < images)[:, None]
        inputs = tl.load(activations + places[:, None] * width + units[None, :], there, other=0.0)
        known = there & (digits < classes)[None, :]
        gradient = tl.load(of_logits + places[:, None] * classes + digits[None, :], known, other=0.0)
        weight += tl.sum(gradient[:, :, None] * inputs[:, None, :], 0)
        bias_3 += tl.sum(gradient, 0)
        bias_2 += tl.sum(tl.load(of_sums + places[:, None] * width + units[None, :], there, other=0.0), 0)
    tl.store(of_bias_2 + units, bias_2)
    tl.store(of_weight + digits[:, None] * width + units[None, :], weight, (digits < classes)[:, None])
    tl.store(of_bias_3 + digits, bias_3, digits < classes)  # each program the same


@triton.jit
def _column_sums(values, sums, images, width: tl.constexpr, columns: tl.constexpr, rows: tl.constexpr):
    units = tl.program_id(0) * columns + tl.arange(0, columns)
    found = tl.zeros((columns,), tl.float32)
    for start in range(0, images, rows):
        places = start + tl.arange(0, rows)
        there = (places < images)[:, None]
        found += tl.sum(tl.load(values + places[:, None] * width + units[None, :], there, other=0.0), 0)
    tl.store(sums + units, found)


@triton.jit
def _adam(
    parameters, gradients, averages, squares, corrections, count,
    rate: tl.constexpr, beta_1: tl.constexpr, beta_2: tl.constexpr, epsilon: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    places = tl.program_id(0) * block + tl.arange(0, block)
    there = places < count
    gradient = tl.load(gradients + places, there)
    average, square = tl.load(averages + places, there), tl.load(squares + places, there)
    average += (1 - beta_1) * (gradient - average)
    square += (1 - beta_2) * (gradient * gradient - square)
    root = tl.sqrt(square) * tl.load(corrections + 1) + epsilon
    moved = tl.load(parameters + places, there) - rate * tl.load(corrections) * average / root
    tl.store(averages + places, average, there)
    tl.store(squares + places, square, there)
    tl.store(parameters + places, moved, there)
