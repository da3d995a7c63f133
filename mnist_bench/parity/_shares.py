"""What each layer's quantisation has of a quantised file's error: one layer at a time is replaced by its float version.

Computed in float64 as the file says: sums of integers are exact, halves are rounded to even, and what is quantised by
its range has the range of its own image.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mnist_bench.core.kinds import LARGEST_BYTE, Activation
from mnist_bench.core.types import LayerShare, LogitError, QuantisationShares
from mnist_bench.parity._compare import Inputs
from mnist_bench.parity._reference import LAYERS, Array, Weights, activate
from mnist_bench.parity._steps import Activate, NotCovered, Product, Quantise, QuantiseByRange, Shift, Step, steps_of
from mnist_bench.parity._targets import Target

PARTS = ("inputs", "weights", "sums")
"""What is quantised of a layer: what it reads, its weights and bias, and its sums before the activation."""

Grid = Quantise | QuantiseByRange


@dataclass(frozen=True)
class QuantisedLayer:
    """A layer of a quantised network, and all the quantisation that is its own.

    `reads` are the grids that its inputs are rounded to, `after` what happens between the product and the activation;
    `function` is None behind the last layer.
    """

    product: Product
    reads: tuple[Grid, ...] = ()
    after: tuple[Grid | Shift, ...] = ()
    function: Activation | None = None


@dataclass(frozen=True)
class Values:
    """Values of n images, float64 (n, units); just quantised they are `integers` (n, units), zero points taken off.

    `scale`, (1, 1) or (n, 1), is what 1 stands for.
    """

    real: Array
    integers: Array | None = None
    scale: Array = field(default_factory=lambda: np.ones((1, 1)))


def shares_of(target: Target, weights: Weights, inputs: Inputs) -> QuantisationShares:
    """Say of a target's quantised file what each layer's quantisation has of the error, over all test images.

    Raises:
        NotCovered: it is no ONNX file with the layers of the reference; the message is the reason.
    """
    if target.model.format != "onnx":
        raise NotCovered("only of ONNX files is it known what is quantised")
    tests = len(inputs.labels)
    images, reference = inputs.images[:tests], inputs.bounds.logits[:tests]
    layers = layers_of(steps_of(target.model.content))
    check_layers(layers, weights)
    *starts, logits = passage(layers, images.reshape(tests, -1).astype(np.float64))
    whole = error(logits, reference)

    def without(place: int, *parts: str) -> LogitError:
        floated = in_float(layers[place], weights.layers[place], parts)
        return error(passage([floated, *layers[place + 1 :]], starts[place])[-1], reference)

    def share(place: int, name: str) -> LayerShare:
        kept = without(place, *PARTS)
        alone = {f"of_{part}": gone(whole, without(place, part)) for part in PARTS}
        return LayerShare(layer=name, share=gone(whole, kept), kept=kept, **alone)

    return QuantisationShares(
        format=target.model.format,
        precision=target.precision,
        sha256=target.sha256 or "",
        images=tests,
        whole=whole,
        layers=tuple(share(place, name) for place, name in enumerate(LAYERS)),
    )


def layers_of(steps: Sequence[Step]) -> list[QuantisedLayer]:
    """Group the steps of a network by layer, so that every grid belongs to one: what a layer reads is its own.

    Raises:
        NotCovered: there is an activation before the first layer, or none between two.
    """
    found: list[QuantisedLayer] = []
    pending: list[Grid | Shift] = []
    for step in steps:
        if isinstance(step, Product):
            if found and found[-1].function is None:
                found[-1], pending = _with_implied_relu(found[-1], pending)
            reads = tuple(one for one in pending if not isinstance(one, Shift))
            found.append(QuantisedLayer(step, reads))
            pending = []
        elif isinstance(step, Activate):
            if not found or found[-1].function:
                raise NotCovered("an activation stands where none should be")
            found[-1] = replace(found[-1], after=tuple(pending), function=step.function)
            pending = []
        else:
            pending.append(step)
    if not found:
        raise NotCovered("it has no dense layer")
    found[-1] = replace(found[-1], after=tuple(pending))
    return found


def _with_implied_relu(
    layer: QuantisedLayer, pending: Sequence[Grid | Shift]
) -> tuple[QuantisedLayer, list[Grid | Shift]]:
    """Give a layer its ReLU, which quantisers leave out where a grid begins at zero; and what comes after that."""
    shifts = [place for place, one in enumerate(pending) if isinstance(one, Shift)]
    end = shifts[-1] + 1 if shifts else 0
    grid = pending[end] if end < len(pending) else None
    if not (isinstance(grid, Quantise) and grid.zero == grid.low):
        raise NotCovered("there is no activation between two of its layers")
    return replace(layer, after=tuple(pending[:end]), function="relu"), list(pending[end:])


def check_layers(layers: Sequence[QuantisedLayer], weights: Weights) -> None:
    """Raise NotCovered where the layers are not those of the reference, so that none can take another's place."""
    shapes = [layer.product.weight.shape for layer in layers]
    if shapes != [weight.shape for weight, _ in weights.layers]:
        raise NotCovered(f"its layers have the shapes {', '.join(map(str, shapes))}, which are not the reference's")
    if wrong := {layer.function for layer in layers[:-1]} - {weights.activation}:
        raise NotCovered(f"its activation is {wrong.pop()}, and not {weights.activation}")


def in_float(layer: QuantisedLayer, reference: tuple[Array, Array], parts: Collection[str]) -> QuantisedLayer:
    """Return a layer with some of its `PARTS` in real numbers: its weight and bias are then the reference's."""
    after = tuple(step for step in layer.after if isinstance(step, Shift) or "sums" not in parts)
    product = layer.product
    if "weights" in parts:
        product, after = Product(*reference), tuple(step for step in after if not isinstance(step, Shift))
    return replace(layer, product=product, reads=() if "inputs" in parts else layer.reads, after=after)


def passage(layers: Sequence[QuantisedLayer], real: Array) -> list[Array]:
    """Return what each layer is given, the first one these values (n, inputs), and then what the last one gives."""
    found = [real]
    for layer in layers:
        values = Values(found[-1])
        for grid in layer.reads:
            values = quantised(values.real, grid)
        real = _product(values, layer.product)
        for step in layer.after:
            real = real + step.bias if isinstance(step, Shift) else quantised(real, step).real
        found.append(activate(real, layer.function) if layer.function else real)
    return found


def quantised(real: Array, grid: Grid) -> Values:
    """Round values to a grid, halves to even."""
    if isinstance(grid, Quantise):
        scale, zero = np.full((1, 1), grid.scale), np.full((1, 1), float(grid.zero))
        low, high = grid.low, grid.high
    else:  # as DynamicQuantizeLinear of the ONNX standard: the range always holds zero
        least, most = np.minimum(real.min(1, keepdims=True), 0.0), np.maximum(real.max(1, keepdims=True), 0.0)
        scale = np.where(most > least, ((most - least) / LARGEST_BYTE).astype(np.float32), 1.0).astype(np.float64)
        low, high = 0, LARGEST_BYTE
        zero = np.clip(np.rint(-least / scale), low, high)
    integers = np.clip(np.rint(real / scale) + zero, low, high) - zero
    return Values(integers * scale, integers, scale)


def _product(values: Values, step: Product) -> Array:
    """Multiply; integers by integers, whose sums float64 holds exactly."""
    if values.integers is None or step.unit is None:
        real: Array = values.real @ step.weight.T + step.bias
        return real
    weight = np.rint(step.weight / step.unit[:, None])  # without the zero point, which the signed bytes have
    sums, multiplier = values.integers @ weight.T, values.scale * step.unit
    if step.bias_unit is None:
        return np.asarray(sums * multiplier + step.bias, np.float64)
    return np.asarray((sums + np.rint(step.bias / step.bias_unit)) * multiplier, np.float64)


def error(logits: Array, reference: Array) -> LogitError:
    """Compare logits (n, classes) with the reference's."""
    off = logits - reference
    return LogitError(
        root_mean_square=float(np.sqrt(np.mean(off**2))),
        largest=float(np.abs(off).max()),
        flips=int((logits.argmax(1) != reference.argmax(1)).sum()),
    )


def gone(whole: LogitError, kept: LogitError) -> float:
    """Return how much of the mean squared error is gone: of errors that have nothing in common these add up to 1."""
    squares = whole.root_mean_square**2
    return 1 - kept.root_mean_square**2 / squares if squares else 0.0
