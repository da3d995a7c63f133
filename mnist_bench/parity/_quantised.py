"""The certificates of the quantised files that are verified, each made once."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

from mnist_bench.core.kinds import Precision
from mnist_bench.core.types import Absent, Deviation, PairReached, QuantisedCertificate, Uncertified
from mnist_bench.parity import _tflite
from mnist_bench.parity._assuming import NOTHING, Assumption
from mnist_bench.parity._certificate import Bounds
from mnist_bench.parity._compare import Inputs
from mnist_bench.parity._int8 import Int8Bounds, certify_steps
from mnist_bench.parity._steps import NotCovered, Product, QuantiseByRange, Step, steps_of
from mnist_bench.parity._targets import Target
from mnist_bench.parity.hypotheses._case import Proof

PAIRS_NAMED = 20
MEASURED = "rely on what is measured on all test images"
"""What is left of what has no certificate."""
READERS: Mapping[str, Callable[[bytes], tuple[Step, ...]]] = {"onnx": steps_of, "litert": _tflite.steps_of}
"""By the formats whose files can be read as steps."""


@dataclass(frozen=True)
class Covered:
    """What is proved of a quantised file: of images that are asked `alone`, and `in_batches` with others.

    `format` is that of the file, and `others` those of files that have the same numbers.
    """

    format: str
    precision: Precision
    sha256: str
    alone: Int8Bounds
    in_batches: Int8Bounds
    others: set[str] = field(default_factory=set)


class Certificates:
    """The certificate of each quantised file, made when it is first asked for.

    Files with the same numbers, in other formats, share one.
    """

    def __init__(self, inputs: Inputs, assumption: Assumption = NOTHING) -> None:
        self._inputs, self._assumption = inputs, assumption
        self._found: dict[str, Covered | None] = {}
        self.absent: list[Absent] = []

    def bounds(self, target: Target, batch_size: int) -> Int8Bounds | None:
        """Return what is proved of a target's file; None where it is not quantised, or nothing can be proved."""
        found = self._of(target)
        if found is None:
            return None
        if target.model.format != found.format:
            found.others.add(target.model.format)
        return found.alone if batch_size == 1 else found.in_batches

    def proof(self, target: Target, batch_size: int) -> Proof | None:
        """Return what is proved of a target's file, and what would be if no kernel saturated; None as in `bounds`."""
        found = self.bounds(target, batch_size)
        if found is None:
            return None
        if not found.saturates.any():
            return Proof(found.bounds, found.bounds)
        other = covered(self._inputs, target, saturating=False)
        return Proof(found.bounds, (other.alone if batch_size == 1 else other.in_batches).bounds)

    def _of(self, target: Target) -> Covered | None:
        if not target.precision.startswith("int8") or target.sha256 is None:
            return None
        numbers = target.numbers_of or target.sha256
        if target.numbers_of and target.graph is None:
            numbers = target.sha256  # each format that lacks the file is told of
        if numbers not in self._found:
            try:
                self._check(target)
                self._found[numbers] = covered(self._inputs, target)
            except NotCovered as reason:
                self._found[numbers] = None
                name = f"certificate of {target.model.format} {target.precision}"
                self.absent.append(Absent(target=name, reason=str(reason), remedy=_remedy(target)))
        return self._found[numbers]

    def _check(self, target: Target) -> None:
        """Raise NotCovered where the file is not asked, or its answers are not taken, as they are."""
        if self._assumption.names:
            raise NotCovered(f"something is assumed of it ({', '.join(self._assumption.names)})")
        if not target.signature.is_ours:
            raise NotCovered("images are changed on their way to it")
        if target.signature.answers == "float16":
            raise NotCovered("its answers are rounded to float16")

    def saved(self) -> tuple[QuantisedCertificate, ...]:
        """Return what is kept of them."""
        return tuple(_summary(self._inputs, found) for found in self._found.values() if found)


def _remedy(target: Target) -> str:
    if target.numbers_of:
        both = f"--format onnx --format {target.model.format}"
        return f"export both anew, and verify again: mnist-bench export {both} --precision {target.precision}"
    if target.model.signature:  # an imported graph's
        return MEASURED
    return "quantise it with onnxruntime's tools, or rely on what is measured"


def _steps_of(target: Target) -> tuple[Step, ...]:
    """Read the steps of a target's file, or of the ONNX file whose numbers it has."""
    if target.numbers_of:
        if target.graph is None:
            raise NotCovered("the run does not hold the ONNX file whose numbers it has")
        return steps_of(target.graph)
    if target.model.format not in READERS:
        raise NotCovered(f"only files of {' and '.join(READERS)} have one, and those with their numbers")
    return READERS[target.model.format](target.model.content)


def covered(inputs: Inputs, target: Target, *, saturating: bool = True) -> Covered:
    """Certify a quantised file; for kernels that saturate too, unless they are left out.

    Raises:
        NotCovered: it is no graph that the certificate knows; the message is the reason.
    """
    if target.model.signature and not target.model.signature.is_ours:
        raise NotCovered("it wants other images than ours")
    steps = _steps_of(target)
    if not any(isinstance(step, Product) and step.integers is not None for step in steps):
        raise NotCovered("nothing that it multiplies is quantised")

    def certified(batches: bool) -> Int8Bounds:
        return reduce(
            Int8Bounds.then,
            (certify_steps(steps, group, batches=batches, saturating=saturating) for group in inputs.groups),
        )

    by_range = any(isinstance(step, QuantiseByRange) and not step.signed for step in steps)
    with ThreadPoolExecutor() as side_by_side:  # Python waits for arithmetic on arrays most of the time
        alone, *in_batches = side_by_side.map(certified, (False, True) if by_range else (False,))
    numbers, kind = (target.numbers_of, "onnx") if target.numbers_of else (target.sha256 or "", target.model.format)
    return Covered(kind, target.precision, numbers, alone, in_batches[0] if by_range else alone)


def _summary(inputs: Inputs, found: Covered) -> QuantisedCertificate:
    images = len(inputs.labels)
    proved, reference = found.in_batches, inputs.bounds.first(images)
    bounds = proved.bounds.first(images)
    both = bounds.certified & reference.certified
    changed = np.flatnonzero(bounds.certified & (bounds.predictions != reference.predictions))
    calm = np.isfinite(bounds.logit_bounds).all(1)
    return QuantisedCertificate(
        format=found.format,
        precision=found.precision,
        sha256=found.sha256,
        others=tuple(sorted(found.others)),
        images=images,
        agreeing=int((both & (bounds.predictions == reference.predictions)).sum()),
        deviations=tuple(Deviation(image=int(i), prediction=int(bounds.predictions[i])) for i in changed),
        uncertified=uncertified(inputs, bounds),
        uncertified_alone=int((~found.alone.bounds.certified[:images]).sum()),
        saturating=tuple(np.flatnonzero(proved.saturates[:images]).tolist()),
        pairs_reached=len(proved.pairs_reached),
        pairs=_pairs(proved),
        largest_logit_bound=float(bounds.logit_bounds[calm].max()) if calm.any() else None,
        median_margin_bound=float(np.median(bounds.margin_bounds[calm])) if calm.any() else None,
        median_undecided=float(np.median(proved.undecided[:images])),
    )


def _pairs(proved: Int8Bounds) -> tuple[PairReached, ...]:
    return tuple(
        PairReached(layer=layer, unit=unit, pair=pair) for layer, unit, pair in proved.pairs_reached[:PAIRS_NAMED]
    )


def uncertified(inputs: Inputs, bounds: Bounds) -> tuple[Uncertified, ...]:
    """Return the images that are not certified, test images first; edge images, which have no label, behind them."""
    return tuple(
        Uncertified(
            image=int(i),
            label=int(inputs.labels[i]) if i < len(inputs.labels) else None,
            prediction=int(bounds.predictions[i]),
            rival=int(bounds.rivals[i]),
            margin=float(bounds.margins[i]),
            bound=finite(bounds.margin_bounds[i]),
        )
        for i in np.flatnonzero(~bounds.certified)
    )


def finite(value: Any) -> float | None:
    """Return a bound as it is saved; None of what nothing bounds."""
    return float(value) if np.isfinite(value) else None
