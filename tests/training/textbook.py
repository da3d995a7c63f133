"""A step of training in float64, with a bound of how far a step in float32 may be from it, whatever the processor.

No tolerance here is chosen by what some processor showed. The bounds are those of `docs/certificate.md`, forwards and
then backwards through the layers, and through Adam:

- A sum of n products errs by at most γₙ · Σ|terms| (Higham 2002, §3.1), in whatever order it is added up.
- ReLU's slope is 0 or 1: where rounding may carry a pre-activation over zero, all that flows back may be there or not.
- Adam divides by √v. Where a gradient is far above its error e the step errs by some lr · e / √v; where it is not, the
  step's very sign is rounding's, and a weight moves by up to `LONGEST` · lr either way.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from mnist_bench.core.kinds import Activation

RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
UNIT = 2.0**-24
FEW = 16 * UNIT
"""Covers the rounding of what is no sum: a mask's product, an exponential, Adam's own handful of operations."""

LONGEST = (1 - BETA_1) / math.sqrt(1 - BETA_2) / math.sqrt(1 - BETA_1**2 / BETA_2)
"""|m| / √v is at most this, by the inequality of Cauchy and Schwarz over all gradients there ever were; 7.3."""

Bounded = tuple[Tensor, Tensor]
"""A value, and how far float32's may be from it."""


def step(
    weights: dict[str, Tensor],
    state: dict[str, Tensor],
    activation: Activation,
    pixels: Tensor,
    labels: Tensor,
    mask: Tensor,
) -> dict[str, Bounded]:
    """Take one step of Adam from a float32 state; return each parameter after it, float64, and its bound.

    Args:
        weights: the parameters by name, float32.
        state: Adam's, as `Engine.optimizer_state` has it, float32.
        activation: of the hidden layers.
        pixels: float64 (n, 784).
        labels: int64 (n,).
        mask: what the first layer's activations are multiplied by, float64 (n, 512).
    """
    exact = {name: value.double() for name, value in weights.items()}
    found = {}
    for name, (gradient, error) in _gradients(exact, activation, pixels, labels, mask).items():
        moments = (state[f"{name}.exp_avg"].double(), state[f"{name}.exp_avg_sq"].double())
        moved, off = _adam(gradient, error, *moments, int(state["step"]) + 1)
        found[name] = exact[name] - RATE * moved, RATE * off + FEW * (exact[name].abs() + RATE)
    return found


def _gradients(
    weights: dict[str, Tensor], activation: Activation, pixels: Tensor, labels: Tensor, mask: Tensor
) -> dict[str, Bounded]:
    """Return the gradients of the mean cross-entropy, written out by hand; autograd has no bounds."""
    ones = torch.ones(())
    inputs_1 = pixels, torch.zeros_like(pixels)
    sums_1 = _dense(inputs_1, weights, "fc1")
    inputs_2 = _activated(sums_1, mask, activation)
    sums_2 = _dense(inputs_2, weights, "fc2")
    inputs_3 = _activated(sums_2, ones, activation)
    grad_logits = _of_logits(_dense(inputs_3, weights, "fc3"), labels)
    of_2 = _through(_multiply(grad_logits, weights["fc3.weight"]), sums_2, ones, activation)
    of_1 = _through(_multiply(of_2, weights["fc2.weight"]), sums_1, mask, activation)
    found = {}
    for name, of, inputs in (("fc1", of_1, inputs_1), ("fc2", of_2, inputs_2), ("fc3", grad_logits, inputs_3)):
        (delta, off), (values, errors) = of, inputs
        of_weight = _gamma(len(delta)) * (delta.abs() + off).T @ (values.abs() + errors)
        of_weight += off.T @ (values.abs() + errors) + delta.abs().T @ errors
        found[f"{name}.weight"] = delta.T @ values, of_weight
        found[f"{name}.bias"] = delta.sum(0), _gamma(len(delta)) * (delta.abs() + off).sum(0) + off.sum(0)
    return found


def _gamma(terms: int) -> float:
    return (terms + 2) * UNIT / (1 - (terms + 2) * UNIT)


def _multiply(left: Bounded, right: Tensor) -> Bounded:
    """Multiply (n, k) by an exact (k, m)."""
    (values, errors), size = left, right.abs()
    return values @ right, _gamma(len(right)) * (values.abs() + errors) @ size + errors @ size


def _dense(inputs: Bounded, weights: dict[str, Tensor], name: str) -> Bounded:
    bias = weights[f"{name}.bias"]
    values, errors = _multiply(inputs, weights[f"{name}.weight"].T)
    return values + bias, errors + _gamma(len(inputs[0][0])) * bias.abs() + UNIT * (values + bias).abs()


def _activated(sums: Bounded, mask: Tensor, activation: Activation) -> Bounded:
    values, errors = sums
    if activation == "relu":
        return values.clamp(min=0) * mask, errors * mask + FEW * values.abs() * mask
    return values.sigmoid() * mask, (errors / 4 + FEW) * mask


def _of_logits(logits: Bounded, labels: Tensor) -> Bounded:
    """Return (softmax - one-hot) / n; a logit's error e multiplies a probability by at most exp(2e)."""
    values, errors = logits
    shares, images = values.softmax(1), len(labels)
    off = shares * torch.expm1(2 * errors.amax(1, keepdim=True)) + FEW
    return (shares - functional.one_hot(labels, values.shape[1])) / images, off / images


def _through(gradient: Bounded, sums: Bounded, mask: Tensor, activation: Activation) -> Bounded:
    """Multiply a gradient by the mask and by the activation's slope at these sums."""
    (values, errors), (at, off) = gradient, sums
    if activation == "relu":
        over_zero = at.abs() <= off
        slope = (at > 0).double() * mask
        return values * slope, torch.where(over_zero, values.abs() + errors, (errors + FEW * values.abs()) * slope)
    slope = at.sigmoid() * (1 - at.sigmoid()) * mask
    return values * slope, errors * slope + (values.abs() + errors) * (off / 4 + FEW) * mask


def _adam(gradient: Tensor, error: Tensor, average: Tensor, square: Tensor, number: int) -> Bounded:
    """Return the step in units of the learning rate (Kingma and Ba 2015), and its bound."""
    off_average = (1 - BETA_1) * error + FEW * (average.abs() + gradient.abs())
    average = BETA_1 * average + (1 - BETA_1) * gradient
    off_square = (1 - BETA_2) * (2 * gradient.abs() + error) * error + FEW * (square + gradient**2)
    square = BETA_2 * square + (1 - BETA_2) * gradient**2
    by_average, by_square = 1 / (1 - BETA_1**number), 1 / (1 - BETA_2**number)
    root = (square * by_square).sqrt() + EPSILON
    least = ((square - off_square).clamp(min=0) * by_square).sqrt() + EPSILON
    most = ((square + off_square) * by_square).sqrt() + EPSILON
    moved = average * by_average / root
    off = off_average * by_average / least + moved.abs() * torch.maximum(most - root, root - least) / least
    return moved, torch.minimum(off, torch.tensor(2 * LONGEST)) + FEW
