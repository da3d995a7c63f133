"""One layer is off, and all that follows computes correctly with what that gives."""

import numpy as np

from mnist_bench.parity._layers import reference_layers
from mnist_bench.parity._reference import Array, Weights, activate
from mnist_bench.parity.hypotheses._case import Case, Guess

ORDER, NAME, ASKS, PRECISIONS = 16, "one layer off", True, ("fp32",)
SAYS = "one layer alone is off: what follows computes correctly"
REMEDY = "look at that layer's weights, bias and activation"


def explain(case: Case) -> Guess:
    """Let the reference go on from the first layer that leaves its bound, and expect what it gives."""
    if case.weights is None:
        return Guess(None, SAYS, reason="only layers of the specified network are looked at")
    shown = case.show(case.images)
    for layer in reference_layers(case.weights, case.images):
        given = shown.get(layer.name)
        if given is None or given.shape != layer.values.shape:
            return Guess(None, SAYS, reason=f"it does not show a layer {layer.name} like the reference's")
        if not (np.abs(given - layer.values) <= layer.bounds).all():  # what is no number leaves it too
            hits = case.explained(continued(case.weights, layer.name, given.astype(np.float64)))
            return Guess(hits, f"{layer.name} alone is off: what follows computes correctly", REMEDY)
    return Guess(np.zeros(len(case.images), np.bool_), SAYS, REMEDY)


def continued(weights: Weights, name: str, values: Array) -> Array:
    """Return the logits that come of a layer's values, (n, units): `fc2` before its activation, `act2` after it."""
    number = int(name[-1])
    if name.startswith("fc") and number < len(weights.layers):
        values = activate(values, weights.activation)
    for place, (weight, bias) in enumerate(weights.layers[number:], number + 1):
        values = values @ weight.T + bias
        if place < len(weights.layers):
            values = activate(values, weights.activation)
    return values
