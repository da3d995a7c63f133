"""Where answers drift: every layer's values beside the float64 reference's, and the certificate's bounds for them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench import runtimes
from mnist_bench.core.errors import Unsupported
from mnist_bench.core.kinds import PROTOCOL_BATCH
from mnist_bench.core.types import LayerError, TargetLayers
from mnist_bench.parity._asking import Plan, Workers
from mnist_bench.parity._certificate import activated, dense
from mnist_bench.parity._compare import Inputs, equal_bits
from mnist_bench.parity._network import Reference
from mnist_bench.parity._reference import LAYERS, Array, Weights
from mnist_bench.parity._targets import Target

CLOSEST, FURTHEST = 1_000, 100
"""On how many images layers are looked at: test images of the smallest margins; any that are answered most wrongly."""


@dataclass(frozen=True)
class Layer:
    """A layer of the reference for n images: its values, and how far any float32 runtime can be from them.

    Both float64 (n, units); a bound is infinite where a sum might overflow on the way.
    """

    name: str
    values: Array
    bounds: Array


def reference_layers(weights: Weights, images: NDArray[np.float32]) -> Iterator[Layer]:
    """Yield the layers from first to last: `fc1` before its activation, `act1` after it … `fc3`, the logits."""
    values = images.reshape(len(images), -1).astype(np.float64)
    errors, finite = np.zeros_like(values), np.ones((len(images), 1), np.bool_)
    for number, (name, layer) in enumerate(zip(LAYERS, weights.layers, strict=False), 1):
        sums = dense(values, errors, *layer)
        finite &= sums.finite[:, None]
        yield Layer(name, sums.values, np.where(finite, sums.errors, np.inf))
        if number < len(weights.layers):
            values, errors = activated(sums.values, sums.errors, weights.activation)
            yield Layer(f"act{number}", values, np.where(finite, errors, np.inf))


def closest(inputs: Inputs) -> NDArray[np.intp]:
    """Return the test images of the smallest margins, in order."""
    return np.sort(inputs.nearest(CLOSEST))


def furthest(inputs: Inputs, logits: NDArray[Any]) -> NDArray[np.intp]:
    """Return the images whose logits are furthest off, measured by their bounds, in order; probes are among them.

    Logits of another shape than asked for tell nothing: then it is the test images of the smallest margins.
    """
    reference = inputs.bounds
    if logits.shape != reference.logits.shape:
        return closest(inputs)[:FURTHEST]
    with np.errstate(all="ignore"):  # what is not finite is furthest off, whatever comes of it here
        off = np.abs(logits.astype(np.float64) - reference.logits) / reference.logit_bounds
    off = np.where(np.isfinite(logits), np.nan_to_num(off), np.inf).max(1)
    return np.sort(np.argsort(-off, kind="stable")[:FURTHEST])


@dataclass(frozen=True)
class Looking:
    """Asks targets of the run in a folder for their layers, each in the plan's first number of threads.

    Its methods raise Unreachable, RuntimeFailed, ModelRefused or TargetUnavailable where a target cannot be asked, and
    Unsupported where it cannot show its layers.
    """

    reference: Reference
    inputs: Inputs
    workers: Workers
    plan: Plan
    folder: Path

    @property
    def weights(self) -> Weights:
        """The weights whose layers are looked at."""
        if found := self.known_weights:
            return found
        raise Unsupported("only the layers of the specified network are looked at")

    @property
    def known_weights(self) -> Weights | None:
        """The specified network's weights; None of any other network."""
        return self.reference if isinstance(self.reference, Weights) else None

    def at(self, target: Target) -> TargetLayers:
        """Compare the layers of a target on the test images of the smallest margins."""
        images = self.inputs.images[closest(self.inputs)]
        shown, logits = self._ask(target, images)
        layers = tuple(self._compared(shown, images, bounded=target.precision == "fp32"))
        same = int(equal_bits(shown[LAYERS[-1]], logits).sum())
        return TargetLayers(target=target.name(self.plan.device), images=len(images), same_bits=same, layers=layers)

    def blamed(self, target: Target, rows: NDArray[np.intp]) -> str:
        """Say in a sentence which layer of a target that claims fp32 first leaves its bound on some of the images."""
        images = self.inputs.images[rows]
        shown, _ = self._ask(target, images)
        return verdict(list(self._compared(shown, images, bounded=True)), len(images))

    def _ask(self, target: Target, images: NDArray[np.float32]) -> tuple[Mapping[str, NDArray[Any]], NDArray[Any]]:
        """Return what a target shows of some images, and its logits when it does not show anything."""
        with self.workers.asked(target) as worker:
            worker.greet(target.asked, self.plan.device)
            worker.open(target.model, runtimes.Spec(self.plan.device, self.plan.threads[0], target.precision))
            logits = self.plan.assumption.of_answers(worker.run(images, PROTOCOL_BATCH))
            return worker.layers(images, PROTOCOL_BATCH), logits

    def _compared(
        self, shown: Mapping[str, NDArray[Any]], images: NDArray[np.float32], *, bounded: bool
    ) -> Iterator[LayerError]:
        for layer in reference_layers(self.weights, images):
            if layer.name in shown:
                yield compared(layer, shown[layer.name], bounded=bounded)
            elif layer.name == LAYERS[-1]:
                raise Unsupported(f"it does not show {layer.name}, the logits")


def compared(layer: Layer, shown: NDArray[Any], *, bounded: bool) -> LayerError:
    """Compare what a runtime shows of a layer, float32 (n, units), with the reference.

    Args:
        layer: the reference's.
        shown: what a runtime says it is.
        bounded: whether the certificate covers it.

    Raises:
        Unsupported: it is of another shape or type, so the model's layers are not the reference's.
    """
    if shown.shape != layer.values.shape or shown.dtype != np.float32:
        found = f"{shown.dtype} {shown.shape}, and not float32 {layer.values.shape}"
        raise Unsupported(f"its layers are not the reference's: {layer.name} is {found}")
    off = np.where(np.isfinite(shown), np.abs(shown.astype(np.float64) - layer.values), np.inf)
    error = LayerError(layer=layer.name, values=off.size, largest=_finite(off.max()), median=_finite(np.median(off)))
    return _beside_bounds(error, off, layer.bounds) if bounded else error


def _beside_bounds(error: LayerError, off: Array, bounds: Array) -> LayerError:
    from msgspec.structs import replace

    # What is not finite leaves its bound even where that is infinite: nothing is said of it there, but it is wrong.
    beyond = (off > bounds) | np.isinf(off)
    used = np.divide(off, bounds, out=np.where(off > 0, np.inf, 0.0), where=(bounds > 0) & np.isfinite(off))
    return replace(
        error,
        largest_bound=_finite(bounds.max()),
        median_bound=_finite(np.median(bounds)),
        bound_used=_finite(used.max()),
        beyond=int(beyond.sum()),
        images_beyond=int(beyond.any(1).sum()),
    )


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def verdict(layers: Sequence[LayerError], images: int) -> str:
    """Say in a sentence which layer first leaves its bound, of a target that was asked about so many images."""
    first = next((layer for layer in layers if layer.beyond), None)
    if first is None:
        return f"none of its layers leaves its bound when it shows them, on {images:,} images"
    off = "is not finite" if first.largest is None else f"is off by up to {first.largest:.2g}"
    allowed = "" if first.largest_bound is None else f", where at most {first.largest_bound:.2g} is possible in float32"
    return (
        f"the first layer that leaves its bound is {first.layer}, on {first.images_beyond:,} of {images:,} images: it "
        f"{off}{allowed}"
    )
