"""Two arrays of logits to a verdict: the parity ladder."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.kinds import Precision
from mnist_bench.core.signature import AnswerType, Signature
from mnist_bench.core.types import Configuration, Deviation, ParityResult
from mnist_bench.parity._certificate import Bounds
from mnist_bench.parity._int8 import Int8Bounds
from mnist_bench.parity._outputs import KINDS, Kind, Output, bounded, rounded, rounding

TOLERANCE_EPS = 32
"""The fp32 tolerance in units of float32 eps (2^-23) times the reference's largest |logit|."""

EPS = 2.0**-23  # float32: the spacing of numbers above 1

NOT_FLOAT32, OTHER_WEIGHTS = ": this is not this network in float32", ", as if by other weights"
"""What answers beyond their bounds mean, and wrong ones to probes, where nothing else is known to explain them."""


@dataclass(frozen=True)
class Tier:
    """What is demanded of a lower precision, whose rounding the certificate does not cover.

    `name` is what it is called, `largest_difference` in logits, `flips` a number, `flip_share` and `accuracy_loss`
    shares of the test images; one image is always allowed, for a share cannot be told from fewer images than make one.
    """

    name: str
    largest_difference: float = float("inf")
    flips: int | None = None
    flip_share: float = 1.0
    accuracy_loss: float = 1.0


WIDEST = 784
"""Terms of the longest sum of products."""

HALF = Tier("11 bits stored", largest_difference=0.02, flips=2)
BYTES = Tier("bytes", flip_share=0.002, accuracy_loss=0.001)
HALF_SUMS = Tier("sums in half", 0.02 * WIDEST**0.5, flip_share=BYTES.flip_share, accuracy_loss=BYTES.accuracy_loss)
"""Where sums are rounded to half precision too: the errors of n roundings add up as a random walk, to √n of one."""

TIERS: dict[Precision, Tier] = {
    "fp16": HALF,
    "tf32": HALF,  # as many bits of mantissa
    "bf16": BYTES,  # eight bits of mantissa
    "int8": BYTES,
    "int8-dynamic": BYTES,
}


@dataclass(frozen=True)
class Inputs:
    """What runtimes are asked: `images` float32 (n + e + p, 1, 28, 28).

    The first are n test images with `labels` (n,), then come e edge images, which `edges` names; the last `probes` are
    found from the weights. `bounds` are the reference's logits and the certificate, for all of them. `of_all` is the
    `largest_logit` of more images, of which these are some, and `of_tests` how many test images are among those.
    `output` is what is answered; where that is not logits, `bounds` are of it, and `logits` are the reference's.
    `answers` is the type that answers are rounded to.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.uint8]
    edges: tuple[str, ...]
    bounds: Bounds
    of_all: float | None = None
    probes: int = 0
    of_tests: int | None = None
    output: Output = "logits"
    logits: NDArray[np.float64] | None = None
    answers: AnswerType = "float32"

    def given_by(self, signature: Signature) -> "Inputs":
        """Return the same with what a model of a signature gives; of what is assumed already, no other ending."""
        found = self.under(signature.ending) if self.output == "logits" else self
        bounds = rounded(found.bounds, found.output, signature.answers)
        return replace(found, bounds=bounds, answers=signature.answers)

    def under(self, output: Output) -> "Inputs":
        """Return the same with what a network answers that ends so; of these that answer with logits."""
        return (
            self
            if output == "logits"
            else replace(self, bounds=bounded(self.bounds, output), output=output, logits=self.bounds.logits)
        )

    def first(self, count: int) -> "Inputs":
        """Return the first so many images, test images before edge images, with the tolerance of all of them."""
        if count >= len(self.images):
            return self
        edges = self.edges[: max(count - len(self.labels), 0)]
        probes = max(self.probes - (len(self.images) - count), 0)
        return replace(
            self,
            images=self.images[:count],
            labels=self.labels[:count],
            edges=edges,
            bounds=self.bounds.first(count),
            of_all=self.largest_logit,
            probes=probes,
            of_tests=None,
            logits=None if self.logits is None else self.logits[:count],
        )

    def only(self, rows: NDArray[np.intp]) -> "Inputs":
        """Return some of the test images, in order, and all edge images, with the tolerance of all test images."""
        return replace(
            self,
            images=self.images[rows],
            labels=self.labels[rows[rows < len(self.labels)]],
            bounds=self.bounds.only(rows),
            of_all=self.largest_logit,
            probes=0,
            of_tests=len(self.labels),
            logits=None if self.logits is None else self.logits[rows],
        )

    def nearest(self, count: int) -> NDArray[np.intp]:
        """Return so many test images of the smallest margins, the smallest first."""
        return np.argsort(self.bounds.margins[: len(self.labels)], kind="stable")[:count]

    @cached_property
    def groups(self) -> tuple[NDArray[np.float32], ...]:
        """What is asked apart from each other: the test images, and all others.

        The same arrays every time: a worker that has them is not sent them again, for another target either.
        """
        tests = len(self.labels)
        return tuple(group for group in (self.images[:tests], self.images[tests:]) if len(group))

    @property
    def reference(self) -> NDArray[np.float64]:
        """The reference's logits, (n + e + p, classes), whatever is answered."""
        return self.bounds.logits if self.logits is None else self.logits

    @property
    def kind(self) -> Kind:
        """What is known of what is answered."""
        return KINDS[self.output]

    @property
    def largest_logit(self) -> float:
        """The reference's largest |logit| over the test images: edge images must not widen the tolerance."""
        return self.of_all or float(np.abs(self.reference[: len(self.labels)]).max())

    @property
    def rounding(self) -> NDArray[np.float64]:
        """By how much each answer may be off besides, for its type: float64 (n + e + p, classes)."""
        return rounding(self.bounds.logits, self.answers)

    @property
    def tolerance(self) -> float:
        """The largest |Δ| that a float32 runtime may show: of logits, or of what that makes of another output."""
        return TOLERANCE_EPS * EPS * (self.kind.slope * self.largest_logit + self.kind.rounding)

    @property
    def scales(self) -> NDArray[np.float64]:
        """How much larger an image's own largest |logit| is than any test image's; 1 where it is not.

        Probes, which light many pixels, have larger logits, and so larger rounding errors: by so much.
        """
        own: NDArray[np.float64] = np.abs(self.reference).max(1) / self.largest_logit
        return np.maximum(own, 1.0)

    @property
    def nearest_answers(self) -> NDArray[np.float32]:
        """The reference's answers in float32, rounded to the type of the answers before."""
        with np.errstate(over="ignore"):
            return self.bounds.logits.astype(self.answers).astype(np.float32)


def equal_bits(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell of which images two logits, float32 (n, classes), are the same bit by bit: (n,)."""
    first, second = (np.ascontiguousarray(logits, np.float32).view(np.uint32) for logits in (one, other))
    return np.asarray((first == second).all(1), np.bool_)


def tier_of(precision: Precision, arithmetic: str | None = None) -> Tier | None:
    """Return what is demanded of a precision, by how a session computes; None of fp32, which has a certificate."""
    if precision == "fp32":
        return None
    return HALF_SUMS if precision == arithmetic == "fp16" else TIERS[precision]


def compare(
    inputs: Inputs,
    answer: NDArray[np.float32],
    configuration: Configuration,
    quantised: Int8Bounds | None = None,
    arithmetic: str | None = None,
) -> ParityResult:
    """Compare a runtime's logits, float32 (n + e + p, 10), with the reference's.

    Args:
        inputs: what it was asked.
        answer: what it said.
        configuration: what it claims to be.
        quantised: the certificate of a quantised file, for the same images.
        arithmetic: in what it computes fp16; see `runtimes.Effective`.

    Raises:
        ValueError: there is nothing to compare.
    """
    tier = tier_of(configuration.precision, arithmetic)
    if not len(inputs.images):
        raise ValueError("there are no images to compare")
    reference = inputs.bounds.logits
    if answer.shape != reference.shape or answer.dtype != np.float32:
        found = f"answers {answer.dtype} {answer.shape} instead of float32 {reference.shape}"
        return ParityResult(configuration=configuration, rung=0, correct=0, failures=(found,))
    if inputs.probes:
        asked = len(inputs.images) - inputs.probes
        without = quantised.first(asked) if quantised else None
        result = compare(inputs.first(asked), answer[:asked], configuration, without, arithmetic)
        return _with(result, (*result.failures, *_on_probes(inputs, answer, tier, quantised)))
    measured = _finite(inputs, answer, configuration, tier)
    return _held_to(measured, answer, quantised.bounds) if quantised and measured.rung > 1 else measured


def _finite(
    inputs: Inputs, answer: NDArray[np.float32], configuration: Configuration, tier: Tier | None
) -> ParityResult:
    """Compare logits of the right shape, as far as they are finite."""
    predictions = answer.argmax(1)
    correct = int((predictions[: len(inputs.labels)] == inputs.labels).sum())
    if not np.isfinite(answer).all():
        rows = int((~np.isfinite(answer).all(1)).sum())
        return ParityResult(
            configuration=configuration,
            rung=1,
            correct=correct,
            failures=(f"{rows} images have logits that are not finite",),
        )
    return _measured(inputs, answer, predictions, correct, configuration, tier)


def _held_to(result: ParityResult, answer: NDArray[np.float32], bounds: Bounds) -> ParityResult:
    """Hold a runtime of a quantised file to what any that conforms computes."""
    from msgspec import structs

    flipped, beyond = (int(where.sum()) for where in _against_proof(answer, bounds))
    failures = list(result.failures)
    if flipped:
        failures.append(f"{flipped} images that the int8 certificate covers are predicted differently")
    if beyond:
        failures.append(f"{beyond} logits lie outside of what integers of this file come to, whichever way")
    return structs.replace(result, beyond_bound=beyond, failures=tuple(failures))


def _against_proof(answer: NDArray[np.float32], bounds: Bounds) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which certified images are predicted differently (n,), and which logits leave their bounds (n, c)."""
    beyond = np.abs(answer.astype(np.float64) - bounds.logits) > bounds.logit_bounds
    return (answer.argmax(1) != bounds.predictions) & bounds.certified, beyond


def _measured(
    inputs: Inputs,
    answer: NDArray[np.float32],
    predictions: NDArray[np.intp],
    correct: int,
    configuration: Configuration,
    tier: Tier | None,
) -> ParityResult:
    bounds = inputs.bounds
    difference = np.abs(answer.astype(np.float64) - bounds.logits)
    ulp = difference / np.spacing(np.abs(bounds.logits).astype(np.float32))
    flipped = predictions != bounds.predictions
    # What the type of the answers costs is no runtime's doing.
    excess = np.maximum(difference - inputs.rounding, 0.0)
    within = excess.max(1) <= inputs.tolerance
    ties = flipped & within & ~bounds.certified
    result = ParityResult(
        configuration=configuration,
        rung=_rung(inputs, answer, flipped, within),
        correct=correct,
        deviations=tuple(Deviation(image=int(i), prediction=int(predictions[i])) for i in np.flatnonzero(flipped)),
        ties=int(ties.sum()),
        largest_difference=float(difference.max()),
        median_difference=float(np.median(difference)),
        largest_ulp=float(ulp.max()),
        median_ulp=float(np.median(ulp)),
        tier=tier.name if tier else "",
        smallest_tolerance_eps=float(TOLERANCE_EPS * excess.max() / inputs.tolerance),
        beyond_bound=int((difference > bounds.logit_bounds).sum()),
    )
    if tier is None:
        return _with(result, _exact_failures(inputs, result, excess, flipped, within))
    return _with(result, _tier_failures(inputs, result, excess, tier))


def _on_probes(
    inputs: Inputs, answer: NDArray[np.float32], tier: Tier | None, quantised: Int8Bounds | None
) -> tuple[str, ...]:
    """Say whether the answers to the probes, the last of all images, are as far off as a changed weight would be."""
    last = slice(len(inputs.images) - inputs.probes, None)
    answer, bounds = answer[last], (quantised.bounds if quantised else inputs.bounds).only(last)
    exact = tier is None or quantised is not None
    allowed = inputs.kind.slope * tier.largest_difference if tier else inputs.tolerance
    difference = (np.abs(answer.astype(np.float64) - bounds.logits) - inputs.rounding[last]).max(1)
    wrong = ~(difference <= allowed * inputs.scales[last])  # also what is no number
    if exact:
        flipped, beyond = _against_proof(answer, bounds)
        wrong |= flipped | beyond.any(1)
    if not wrong.any():
        return ()
    return (
        f"{int(wrong.sum())} of {inputs.probes:,} probes (images found from the weights, that light every unit) are "
        f"answered wrongly{OTHER_WEIGHTS}",
    )


def _with(result: ParityResult, failures: tuple[str, ...]) -> ParityResult:
    from msgspec import structs

    return structs.replace(result, failures=failures)


def _rung(inputs: Inputs, answer: NDArray[np.float32], flipped: NDArray[np.bool_], within: NDArray[np.bool_]) -> int:
    """Climb until a rung does not hold; the first two hold already."""
    holds = (
        not (flipped & inputs.bounds.certified).any(),
        not flipped.any(),
        bool(within.all()),
        bool((answer == inputs.nearest_answers).all()),
    )
    return 2 + (holds.index(False) if False in holds else len(holds))


def _exact_failures(
    inputs: Inputs,
    result: ParityResult,
    excess: NDArray[np.float64],
    flipped: NDArray[np.bool_],
    within: NDArray[np.bool_],
) -> tuple[str, ...]:
    failures = []
    if count := int((flipped & inputs.bounds.certified).sum()):
        failures.append(f"{count} certified images are predicted differently")
    if count := int((~within).sum()):
        others = int((~within)[len(inputs.labels) :].sum())
        among = f", {others} of them edge images," if others else ""
        failures.append(f"{count} images{among} leave the tolerance: {_largest(inputs, excess, inputs.tolerance)}")
    if result.beyond_bound:
        failures.append(f"{result.beyond_bound} logits lie outside the certificate's bound{NOT_FLOAT32}")
    return tuple(failures)


def _largest(inputs: Inputs, excess: NDArray[np.float64], allowed: float) -> str:
    """Say how far off answers are, but for what their type costs."""
    beyond = "" if inputs.answers == "float32" else f" beyond the rounding to {inputs.answers}"
    return f"largest |Δ{inputs.kind.unit}|{beyond} {excess.max():.2g}, allowed {allowed:.2g}"


def _tier_failures(inputs: Inputs, result: ParityResult, excess: NDArray[np.float64], tier: Tier) -> tuple[str, ...]:
    asked = len(inputs.labels)
    flips = sum(deviation.image < asked for deviation in result.deviations)
    reference_correct = int((inputs.bounds.predictions[:asked] == inputs.labels).sum())
    lost = reference_correct - result.correct
    # Shares are of all test images: a sample in which flips are likely fails where they are too many for all of them.
    images = inputs.of_tests or asked
    failures = []
    allowed = inputs.kind.slope * tier.largest_difference
    if excess.max() > allowed:
        failures.append(_largest(inputs, excess, allowed))
    if tier.flips is not None and flips > tier.flips:
        failures.append(f"{flips} flips, allowed {tier.flips}")
    if flips > max(tier.flip_share * images, 1):
        failures.append(f"{flips} of {images} predictions differ, allowed {tier.flip_share:.1%}")
    if lost > max(tier.accuracy_loss * images, 1):
        failures.append(f"accuracy is {100 * lost / images:.2f} points lower, allowed {100 * tier.accuracy_loss:.1f}")
    return tuple(failures)
