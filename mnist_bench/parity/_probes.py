"""Inputs found from a network's weights, on which a changed weight shows, and how many changes would pass unseen.

A comparison says nothing of weights whose unit is inactive on every image, or whose input is dark on every image: they
could be anything. So images are added that light every hidden unit together with every one of its inputs, as far as the
inputs in [0, 1] can; and what share of single changes of sign would still pass is measured, by trying some.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.memo import remembered
from mnist_bench.parity._reference import Array, Weights, activate

SEED = 0  # fixed: the same weights give the same images everywhere
ROUNDS = 6
"""Of those that light what the ones before left dark; each has fewer to light."""
LIT_SHARE = 0.1
"""From this share of its largest pre-activation on, a unit of the first layer counts as lit: less shows too little."""
ASCENT_STEPS, FIRST_STEP, LAST_STEP = 30, 2.0, 0.1
KEPT_SHARE = 0.2
"""What is left of a unit's largest pre-activation when pixels are added that lower it."""
TRIALS = 2_000
CLOSE_LOOKS = 24
"""The images on which a trial is evaluated: those on which the weight moves its unit most."""


@dataclass(frozen=True)
class Passes:
    """What a network computes on n images: pre-activations and activations of the hidden layers, and the logits."""

    images: Array
    before: tuple[Array, Array]
    after: tuple[Array, Array]
    logits: Array

    def by_column(self) -> "Passes":
        """Return the same, with what all images have at one unit side by side in memory."""
        images, *hidden = map(np.asfortranarray, (self.images, *self.before, *self.after))
        return Passes(images, (hidden[0], hidden[1]), (hidden[2], hidden[3]), self.logits)


def passes(weights: Weights, images: Array) -> Passes:
    """Evaluate the network on images float64 (n, 784)."""
    (weight_1, bias_1), (weight_2, bias_2), (weight_3, bias_3) = weights.layers
    before_1 = images @ weight_1.T + bias_1
    after_1 = activate(before_1, weights.activation)
    before_2 = after_1 @ weight_2.T + bias_2
    after_2 = activate(before_2, weights.activation)
    return Passes(images, (before_1, before_2), (after_1, after_2), after_2 @ weight_3.T + bias_3)


@remembered(4)
def probes(weights: Weights) -> NDArray[np.float32]:
    """Return images, float32 (m, 1, 28, 28) in [0, 1], that light the units and their inputs; 1,000 to 3,000."""
    random = np.random.default_rng(SEED)
    first = _of_first_layer(weights, random)
    found = np.concatenate([first, _of_second_layer(weights, first, random)])
    return found.reshape(-1, 1, 28, 28).astype(np.float32)


def _of_first_layer(weights: Weights, random: np.random.Generator) -> Array:
    """Light every unit of the first layer: the pixels that raise it, and in turns a part of those that lower it."""
    weight, bias = weights.layers[0]
    images = []
    for row, constant in zip(weight, bias, strict=True):
        raising = row > 0
        room = (row[raising].sum() + constant) * (1 - KEPT_SHARE)
        lowering = random.permutation(np.flatnonzero(~raising))
        part = np.minimum(np.cumsum(-row[lowering]) // max(room, 1e-9), ROUNDS).astype(int)
        for number in range(part.max(initial=0) + 1):
            image = raising.astype(np.float64)
            image[lowering[part == number]] = 1.0
            images.append(image)
    return np.array(images)


def _of_second_layer(weights: Weights, first: Array, random: np.random.Generator) -> Array:
    """Light every unit of the second layer, and then with it those of its inputs that were still dark."""
    lit_from = LIT_SHARE * passes(weights, first).before[0].max(0)
    units = np.arange(len(weights.layers[1][0]))
    weight_1, weight_2 = weights.layers[0][0], weights.layers[1][0]
    start = (np.maximum(weight_2, 0) @ weight_1 > 0).astype(np.float64)
    images = [first, _ascended(weights, units, start, lit_from, None)]
    lit, new = np.zeros(weight_2.T.shape), np.concatenate(images)
    for _ in range(ROUNDS):
        seen = passes(weights, new)
        lit += (seen.before[0] > lit_from).T.astype(np.float64) @ (seen.before[1] > 0)
        dark = lit.T == 0  # (units of layer 2, units of layer 1)
        units = np.flatnonzero(dark.any(1))
        if not len(units):
            break
        start = (random.random((len(units), weight_1.shape[1])) < random.random((len(units), 1))).astype(np.float64)
        images.append(new := _ascended(weights, units, start, lit_from, dark[units]))
    return np.concatenate(images[1:])


def _ascended(
    weights: Weights, units: NDArray[np.intp], start: Array, lit_from: Array, dark: NDArray[np.bool_] | None
) -> Array:
    """Climb, an image a unit of the second layer, until that is lit, and with it those of the first that are `dark`.

    Projected gradient ascent: the box [0, 1] is where images are.
    """
    # In float32, which takes half the time: whether an image lights a unit is found out afterwards.
    (weight_1, bias_1), (weight_2, bias_2) = ([one.astype(np.float32) for one in pair] for pair in weights.layers[:2])
    images, score = start.astype(np.float32), np.full(len(units), -np.inf, np.float32)
    best = images.copy()
    for step in np.geomspace(FIRST_STEP, LAST_STEP, ASCENT_STEPS, dtype=np.float32):
        before = images @ weight_1.T + bias_1
        after = activate(before, weights.activation)
        reached = (after * weight_2[units]).sum(1) + bias_2[units]
        value = (
            reached
            if dark is None
            else np.where(reached > 0, ((before > lit_from) & dark).sum(1), np.minimum(reached, 0))
        )
        better = value > score
        best[better], score[better] = images[better], value[better]
        pull = weight_2[units] * ((before > 0) if weights.activation == "relu" else after * (1 - after))
        if dark is not None:
            pull = np.where(reached[:, None] > 0, (dark & (before <= lit_from)).astype(np.float32), pull)
        gradient = pull @ weight_1
        images = np.clip(
            images + step * gradient / np.maximum(np.abs(gradient).max(1, keepdims=True), np.float32(1e-12)), 0, 1
        )
    return best.astype(np.float64)


@remembered(4)
def unseen(weights: Weights, images: NDArray[np.float32], tolerances: Array, trials: int = TRIALS) -> int:
    """Count, of some weights drawn at random, how many could change their sign without leaving the tolerance.

    Args:
        weights: the network.
        images: float32 (n, 1, 28, 28), those that runtimes are compared on.
        tolerances: float64 (n,), the |Δlogit| that passes on each.
        trials: how many weights to draw, each as probable as any other; the same ones for equal shapes.

    Returns:
        How many of the trials would pass on all images on which they were looked at: the few on which the weight moves
        its unit most, so that it is rather too many than too few.
    """
    seen = passes(weights, images.reshape(len(images), -1).astype(np.float64)).by_column()
    sizes = np.cumsum([weight.size for weight, _ in weights.layers])
    drawn = np.random.default_rng(SEED).integers(0, sizes[-1], trials)
    count = 0
    for place in drawn.tolist():
        layer = int(np.searchsorted(sizes, place, side="right"))
        within = place - (sizes[layer - 1] if layer else 0)
        unit, source = divmod(int(within), weights.layers[layer][0].shape[1])
        count += not _shows(weights, seen, layer, unit, source, tolerances)
    return count


def _shows(weights: Weights, seen: Passes, layer: int, unit: int, source: int, tolerances: Array) -> bool:
    """Tell whether a change of one weight's sign leaves the tolerance on an image."""
    inputs = (seen.images, *seen.after)[layer][:, source]
    lit = np.flatnonzero(inputs)
    moved = -2 * weights.layers[layer][0][unit, source] * inputs[lit]
    if layer == len(seen.before):
        return bool((np.abs(moved) > tolerances[lit]).any())
    before, after = seen.before[layer][:, unit][lit], seen.after[layer][:, unit][lit]
    change = activate(before + moved, weights.activation) - after
    most = np.argpartition(-np.abs(change), CLOSE_LOOKS - 1)[:CLOSE_LOOKS] if len(lit) > CLOSE_LOOKS else slice(None)
    rows, change = lit[most], change[most]
    if layer == 0:
        next_weight = weights.layers[1][0][:, unit]
        after = activate(seen.before[1][rows] + change[:, None] * next_weight, weights.activation)
        difference = (after - seen.after[1][rows]) @ weights.layers[2][0].T
    else:
        difference = change[:, None] * weights.layers[2][0][:, unit]
    return bool((np.abs(difference).max(1) > tolerances[rows]).any())
