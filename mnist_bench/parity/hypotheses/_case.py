"""What a hypothesis has to explain, what it can be asked about, and what it comes to."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace as replace_field
from numpy.typing import NDArray

from mnist_bench.core.kinds import Precision
from mnist_bench.core.signature import OURS, Pixels, Signature, before
from mnist_bench.parity._certificate import Bounds
from mnist_bench.parity._network import Reference
from mnist_bench.parity._outputs import KINDS, Output, answered, rounding
from mnist_bench.parity._reference import Array, Weights

Images = NDArray[np.float32]
Answers = NDArray[Any]
Hits = NDArray[np.bool_]
"""Which images are explained, (n,)."""

EXACT: tuple[Precision, ...] = ("fp32", "tf32", "fp16")
"""Precisions whose answers are near enough to the reference's to tell one explanation from another."""


ANOTHER = 2.0**-10
"""A number that changes by more than this share of itself is another one: rounding in another order changes it less,
unless it is nearly nothing."""


class Guess(NamedTuple):
    """What a hypothesis comes to: which images it explains, (n,); None where it was not tried, for a `reason`.

    `says` is the mistake in a sentence, `remedy` the way out, `assume` what `verify --assume` calls it, if it can.
    """

    hits: Hits | None
    says: str
    remedy: str = ""
    assume: tuple[str, ...] = ()
    reason: str = ""


class Proof(NamedTuple):
    """What is proved of a quantised file's answers: on kernels that saturate and others, and on others alone."""

    any: Bounds
    without_saturation: Bounds


@dataclass(frozen=True)
class Case:
    """Answers that differ from the reference's.

    `images` float32 (n, 1, 28, 28) as the reference gets them, `answers` (n, classes) to them, `logits` float64
    (n, classes) the reference's. What is answered is an `output`, and the images have been changed to a `signature` on
    their way. Of logits no larger than `largest` a difference of `tolerance` passes, and besides what the type of the
    answers costs. `ask` asks the target again about as many images as one likes, `together` does so in batches of many,
    `show` asks for its layers. `reference` is the network itself, `others` are the weights of other models that might
    have been meant, by name; `proof` is of a quantised file, and `computes` tells in what the target really computes.
    After `ends_at`, by the monotonic clock, no more networks are evaluated.
    """

    images: Images
    answers: Answers
    logits: Array
    tolerance: float
    largest: float
    precision: Precision
    ask: Callable[[Images], Answers]
    show: Callable[[Images], Mapping[str, NDArray[Any]]]
    output: Output = "logits"
    signature: Signature = OURS
    reference: Reference | None = None
    others: Callable[[], Iterable[tuple[str, Weights]]] = tuple
    proof: Callable[[], Proof | None] = lambda: None
    together: Callable[[Images], Answers] | None = None
    computes: str = ""
    ends_at: float = math.inf

    @property
    def weights(self) -> Weights | None:
        """The specified network's weights; None of any other network."""
        return self.reference if isinstance(self.reference, Weights) else None

    def explained(
        self, logits: Array, answers: Answers | None = None, output: Output | None = None, slack: float = 1.0
    ) -> Hits:
        """Return on which images answers are within the tolerance of what such logits would make of them.

        Args:
            logits: what is expected, (n, classes); the tolerance grows with what is larger than the reference's.
            answers: what was answered; those of the case where that is not given.
            output: what is answered; that of the case where that is not given.
            slack: how many times the tolerance passes.
        """
        answers, kind = self.answers if answers is None else answers, output or self.output
        if answers.shape != logits.shape:
            return np.zeros(len(logits), np.bool_)
        scale = np.maximum(np.abs(logits).max(1) / self.largest, 1.0)
        allowed = slack * self.tolerance * (KINDS[kind].slope * scale + KINDS[kind].rounding / self.largest)
        with np.errstate(invalid="ignore"):  # what is no number is explained by nothing
            expected = answered(logits, kind)
            off = np.abs(answers - expected) - rounding(expected, self.signature.answers)
            return np.asarray(off.max(1) <= allowed, np.bool_)

    def right(self) -> Hits:
        """Return on which images answers are as they should be."""
        if self.precision in EXACT:
            return self.explained(self.logits)
        proof = self.proof()
        return within(self.answers, proof.without_saturation) if proof else np.zeros(len(self.images), np.bool_)

    def only(self, count: int) -> "Case":
        """Return the case of the first so many images."""
        return replace(self, images=self.images[:count], answers=self.answers[:count], logits=self.logits[:count])

    def as_if(self, pixels: Pixels | None = None, *, transposed: bool = False) -> Images | None:
        """Return images that come to the model as if it were asked for other pixels; None where it is already."""
        if pixels == self.signature.pixels:
            return None
        turned = self.images.swapaxes(2, 3) if transposed else self.images
        if pixels is None:
            return np.ascontiguousarray(turned)
        return before(replace_field(OURS, pixels=pixels).adapt(turned), self.signature.pixels)


def changed(one: Answers, other: Answers) -> Hits:
    """Return on which images a target that was asked twice has answered otherwise than by rounding."""
    size = np.maximum(np.abs(one), np.abs(other))
    return np.asarray((np.abs(one - other) > ANOTHER * size).any(1), np.bool_)


def within(answers: Answers, bounds: Bounds) -> Hits:
    """Return on which images all answers lie within some bounds."""
    with np.errstate(invalid="ignore"):
        return np.asarray((np.abs(answers - bounds.logits) <= bounds.logit_bounds).all(1), np.bool_)
