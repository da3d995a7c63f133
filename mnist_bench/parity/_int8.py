"""What a quantised network can answer, whichever way its integers are computed: a certificate for int8.

The derivation, with every assumption, stands in `docs/certificate.md`; the symbols here are its symbols. As in the
certificate for float32, an interval is kept of every value that holds what any conforming runtime computes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.kinds import LARGEST_BYTE, LARGEST_INT16
from mnist_bench.core.memo import remembered
from mnist_bench.parity._certificate import OUTWARD, U32, Bounds, activated, decide, dense
from mnist_bench.parity._reference import Array
from mnist_bench.parity._steps import Activate, NotCovered, Product, Quantise, Shift, Step
from mnist_bench.runtimes import largest_pair_sums

ROUNDINGS = 16
"""More than the roundings of float32 between a sum of products and the integer that it becomes: of both operands as
they are dequantised, of the scales' product and its quotient with the third, of the bias's scale, of the sum as a
float32, of the multiplication, of the half that is added."""

FIXED_POINT = 2.0**-31
"""Relative error of a multiplier that is an integer of 31 bits and a power of two."""

LARGEST_INT32 = 2.0**31


@dataclass(frozen=True)
class Integers:
    """Unsigned bytes of n images, each between `low` and `high`, float64 (n, units).

    `unit` float64, (1, 1) or (n, 1), is what 1 stands for, at most; `fixed` where that is known and the same for all.
    `signed` where kernels multiply them less 128.
    """

    low: Array
    high: Array
    unit: Array
    fixed: bool
    signed: bool = False


@dataclass(frozen=True)
class Values:
    """Where the values of n images are: `middle` ± `radius`, float64 (n, units).

    `integers` is what they are made of where they have just been quantised, `multiplier` (units,) what a unit of the
    sum stands for where they are sums of integer products, be it with a bias and ReLU behind.
    """

    middle: Array
    radius: Array
    integers: Integers | None = None
    multiplier: Array | None = None
    not_negative: bool = False


@dataclass(frozen=True)
class Int8Bounds:
    """The certificate of a quantised file for n images.

    `bounds` are around the middle of what conforming runtimes may answer. `saturates` bool (n,): images on which a
    kernel that adds neighbouring products in 16 bits computes other sums, which the bounds hold too. `pairs_reached`
    are the (product, unit, pair) that any image brings there. `undecided` int (n,): how many values of an image may
    become either of several integers.
    """

    bounds: Bounds
    saturates: NDArray[np.bool_]
    pairs_reached: tuple[tuple[int, int, int], ...]
    undecided: NDArray[np.int64]

    def first(self, count: int) -> "Int8Bounds":
        """Return those of the first so many images, with the pairs of all."""
        return self.only(slice(count))

    def only(self, rows: "NDArray[np.intp] | slice") -> "Int8Bounds":
        """Return those of some of the images, with the pairs of all."""
        return Int8Bounds(self.bounds.only(rows), self.saturates[rows], self.pairs_reached, self.undecided[rows])

    def then(self, other: "Int8Bounds") -> "Int8Bounds":
        """Return these and those of other images behind them, with the pairs that these reach."""
        return Int8Bounds(
            self.bounds.then(other.bounds),
            np.concatenate([self.saturates, other.saturates]),
            self.pairs_reached,
            np.concatenate([self.undecided, other.undecided]),
        )


@remembered(16)
def certify_steps(
    steps: Sequence[Step], images: NDArray[np.float32], *, batches: bool = False, saturating: bool = True
) -> Int8Bounds:
    """Bound every logit and every difference of logits of some images.

    Args:
        steps: the quantised network; see `steps_of`.
        images: float32 (n, 1, 28, 28) in [0, 1].
        batches: of a network that quantises by range, whether an image may be in a batch with others of these.
        saturating: whether kernels count that add neighbouring products in 16 bits.

    Raises:
        NotCovered: the steps are no network of this kind.
    """
    flat = images.reshape(len(images), -1).astype(np.float64)
    passage = _Passage(Values(flat, np.zeros_like(flat), not_negative=True), batches, saturating)
    before, last = _ending_with_product(steps)
    with np.errstate(all="ignore"):
        for step in before:
            passage.take(step)
        found = passage.decided(last)
    if not (np.isfinite(found.bounds.margins) & np.isfinite(found.bounds.margin_bounds)).all():
        raise NotCovered("its values leave the range of float32")
    return found


def _ending_with_product(steps: Sequence[Step]) -> tuple[list[Step], Product]:
    """Return the steps before the last product, and that: with the bias that a node of its own adds.

    Where logits are quantised too, they are multiplied by 1 for it.
    """
    before = list(steps)
    last = before.pop() if before else None
    if isinstance(last, Shift) and before and isinstance(before[-1], Product) and not before[-1].bias.any():
        product = before.pop()
        assert isinstance(product, Product)
        _check_width(last.bias, len(product.weight))
        return before, replace(product, bias=np.broadcast_to(last.bias, len(product.weight)))
    outputs = next((len(step.weight) for step in reversed(before) if isinstance(step, Product)), 0)
    if isinstance(last, Quantise) and outputs:
        return [*before, last], Product(np.eye(outputs), np.zeros(outputs))
    if not isinstance(last, Product):
        raise NotCovered("it does not end with a dense layer")
    return before, last


def _check_width(bias: Array, units: int) -> None:
    if len(bias) not in (1, units):
        raise NotCovered(f"a bias of {len(bias)} numbers is added to {units}")


class _Passage:
    """Images on their way through a network, and what is noticed on it."""

    def __init__(self, values: Values, batches: bool, saturating: bool) -> None:
        self.values, self.batches, self.saturating = values, batches, saturating
        images = len(values.middle)
        self.finite, self.saturates = np.ones(images, np.bool_), np.zeros(images, np.bool_)
        self.undecided = np.zeros(images, np.int64)
        self.pairs: list[tuple[int, int, int]] = []
        self.products = 0

    def take(self, step: Step) -> None:
        """Go through a step."""
        values = self.values
        if isinstance(step, Product):
            below, above = self.check(step)
            sums = dense(values.middle, values.radius, step.weight, step.bias, ROUNDINGS)
            self.finite &= sums.finite
            middle, radius = sums.values + (above - below) / 2, (sums.errors + (above + below) / 2) * OUTWARD
            self.values = Values(middle, radius, multiplier=_multiplier(values.integers, step))
        elif isinstance(step, Shift):
            _check_width(step.bias, values.middle.shape[1])
            rounding = U32 * (np.abs(values.middle) + values.radius + np.abs(step.bias))
            shifted = values.middle + step.bias, (values.radius + rounding) * OUTWARD
            self.values = Values(*shifted, multiplier=values.multiplier)
        elif isinstance(step, Activate):
            found = activated(values.middle, values.radius, step.function)
            # A kernel may clip as it scales its integers: ReLU does not come between a sum and its two roundings.
            multiplier = values.multiplier if step.function == "relu" else None
            self.values = Values(*found, multiplier=multiplier, not_negative=True)
        else:
            if isinstance(step, Quantise):
                self.values = _quantised(values, step)
            else:
                self.values = _by_range(values, self.batches and not step.signed, step.signed)
            assert self.values.integers
            self.undecided += (self.values.integers.low < self.values.integers.high).sum(1)

    def check(self, step: Product) -> tuple[Array, Array]:
        """Note on which images a product of integers may overflow, or saturate; raise NotCovered where it fits nowhere.

        Returns:
            By how much a kernel that adds neighbouring products in 16 bits may come out too small, and too large.
        """
        values = self.values
        if step.weight.shape[1] != values.middle.shape[1]:
            raise NotCovered("a layer does not fit the one before")
        below, above = (np.zeros((len(values.middle), len(step.weight))) for _ in range(2))
        if step.integers is not None and (integers := values.integers) is not None:
            self.finite &= _largest_sum(step, integers) < LARGEST_INT32
            alike = integers.signed or not self.saturating
            for found in () if alike else beyond_16_bits(step.integers, integers):
                self.pairs.append((self.products, found.unit, found.pair))
                self.saturates[found.images] = True
                below[found.images, found.unit] += found.above
                above[found.images, found.unit] += found.below
            assert step.unit is not None
            below, above = (off * integers.unit * step.unit for off in (below, above))
        self.products += 1
        return below, above

    def decided(self, last: Product) -> Int8Bounds:
        """Compare each prediction with every other class."""
        below, above = self.check(last)
        values, slack = self.values, np.maximum(below, above)
        bounds = decide(values.middle, values.radius, last.weight, last.bias, self.finite, ROUNDINGS, slack)
        return Int8Bounds(bounds, self.saturates, tuple(self.pairs), self.undecided)


def _multiplier(integers: Integers | None, step: Product) -> Array | None:
    """Return what a unit of a sum of integer products stands for: (units,); None where the products are of floats."""
    if integers is None or step.unit is None or not integers.fixed:
        return None
    multiplier: Array = integers.unit[0, 0] * step.unit
    if step.bias_unit is not None and (np.abs(step.bias_unit - multiplier) > 4 * U32 * multiplier).any():
        raise NotCovered("a bias has another scale than the products that it is added to")
    return multiplier


def _largest_sum(step: Product, integers: Integers) -> float:
    """Return what no sum of integers exceeds, in magnitude, whatever the image."""
    assert step.integers is not None
    products = 2 * LARGEST_BYTE * np.abs(step.integers).sum(1)  # twice: what a zero point takes off is summed too
    multiplier = _multiplier(integers, step)
    bias = np.abs(step.bias) / multiplier if multiplier is not None else 0.0
    return float((products + bias).max(initial=0))


def _quantised(values: Values, step: Quantise) -> Values:
    """Return the integers that each value may become, and what they stand for."""
    real, error = values.middle / step.scale, values.radius / step.scale
    magnitude = np.abs(real) + error
    error = error + ROUNDINGS * U32 * (magnitude + 1)
    if values.multiplier is not None:
        error = error + FIXED_POINT * magnitude + _first_half(values.multiplier / step.scale)
    error = error * OUTWARD
    # Closed at both ends: a half may be rounded to even, away from zero, or up.
    low = np.clip(np.ceil(real - error - 0.5) + step.zero, step.low, step.high)
    high = np.clip(np.floor(real + error + 0.5) + step.zero, step.low, step.high)
    middle = ((low + high) / 2 - step.zero) * step.scale
    radius = (high - low) / 2 * step.scale
    radius = (radius + 2 * U32 * (np.abs(middle) + radius)) * OUTWARD
    integers = Integers(low - step.low, high - step.low, np.full((1, 1), step.scale), fixed=True)
    return Values(middle, radius, integers, not_negative=step.low >= step.zero)


def _first_half(multiplier: Array) -> Array:
    """Bound the first of two roundings: a multiplier of m · 2^-n, m in [½, 1), leaves half of 2^-n.

    gemmlowp and TFLite round a sum times m to an integer, and that again when they shift it by n. The multiplier is
    what a runtime has after its own roundings: just below a power of two it may be that power, and n one less.
    """
    _, exponent = np.frexp(multiplier * (1 + ROUNDINGS * U32 + FIXED_POINT))
    return np.asarray(np.where(exponent < 0, 0.5 * np.exp2(exponent), 0.0), np.float64)


def _by_range(values: Values, batches: bool, signed: bool) -> Values:
    """Bound what DynamicQuantizeLinear makes of values: bytes with a scale of a 255th of the largest.

    Alone, an image has the scale of its own range, which is known but for rounding. In a batch with others it may have
    any up to the largest of them, and each value is off by up to half of that; but zero stays zero.
    """
    if not values.not_negative:
        raise NotCovered("what is quantised by its range may be negative: its zero point depends on the image")
    low = np.maximum(values.middle - values.radius, 0.0)
    high = np.maximum(values.middle + values.radius, 0.0)
    least = low.max(1, keepdims=True) / LARGEST_BYTE * (1 - 4 * U32)
    own = high.max(1, keepdims=True) / LARGEST_BYTE * (1 + 4 * U32)
    most = np.full_like(own, own.max()) if batches else own
    integers = replace(_between(low, high, least, most), signed=signed)
    bottom, top = integers.low * least, integers.high * most
    if batches:
        others = (own < most)[:, 0]
        low, high, most = low[others], high[others], most[others]
        bottom[others] = np.where(high > 0, np.maximum(low - most / 2, 0.0), 0.0)
        top[others] = np.where(high > 0, high + most / 2, 0.0)
    middle, radius = (bottom + top) / 2, (top - bottom) / 2
    return Values(middle, (radius + ROUNDINGS * U32 * top) * OUTWARD, integers, not_negative=True)


def _between(low: Array, high: Array, least: Array, most: Array) -> Integers:
    """Return which bytes values of [`low`, `high`] become with some scale of [`least`, `most`]."""
    bottom = low / np.where(most > 0, most, 1.0)  # where the largest scale is 0, so is every value
    top = high / np.where(least > 0, least, 1.0)
    unknown = (least <= 0)[:, 0]
    top[unknown] = np.where(high[unknown] > 0, float(LARGEST_BYTE), 0.0)
    away = 0.5 + ROUNDINGS * U32 * (LARGEST_BYTE + 1)
    bottom -= away
    top += away
    np.clip(np.ceil(bottom, out=bottom), 0, LARGEST_BYTE, out=bottom)
    np.clip(np.floor(top, out=top), 0, LARGEST_BYTE, out=top)
    return Integers(bottom, top, most, fixed=False)


@dataclass(frozen=True)
class Beyond:
    """A pair of neighbouring products of a unit whose sum can leave 16 bits.

    The pair is of the inputs 2 · `pair` and 2 · `pair` + 1; `images` int (k,) are those that bring it there, `above`
    and `below` float64 (k,) by how much at most.
    """

    unit: int
    pair: int
    images: NDArray[np.intp]
    above: Array
    below: Array


def beyond_16_bits(weights: NDArray[np.int64], integers: Integers) -> Iterator[Beyond]:
    """Find the pairs of neighbouring products whose sum leaves 16 bits on any image.

    Args:
        weights: signed bytes (units, inputs).
        integers: the unsigned bytes that they are multiplied by.
    """
    worst = largest_pair_sums(weights)
    for at in range(0, weights.shape[1] - 1, 2):
        pair, units = weights[:, at : at + 2], np.flatnonzero(worst[:, at // 2] > LARGEST_INT16)
        strongest = integers.high[:, at : at + 2] @ np.abs(pair).max(0)
        images = np.flatnonzero(strongest > LARGEST_INT16)
        if not (len(units) and len(images)):
            continue
        ends = np.stack([integers.low[images, at : at + 2], integers.high[images, at : at + 2]])
        products = ends[:, :, None, :] * pair[units]  # (ends, images, units, 2)
        above = np.maximum(products.max(0).sum(-1) - LARGEST_INT16, 0)
        below = np.maximum(-LARGEST_INT16 - 1 - products.min(0).sum(-1), 0)
        for column in np.flatnonzero((above + below).any(0)):
            rows = np.flatnonzero(above[:, column] + below[:, column])
            yield Beyond(int(units[column]), at // 2, images[rows], above[rows, column], below[rows, column])
