"""Asking every target about every image in every configuration, and comparing each with the one reference."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from mnist_bench import data, environment, hosts, store
from mnist_bench.core.errors import (
    BadInput,
    ModelRefused,
    RuntimeFailed,
    TargetUnavailable,
    Unreachable,
    Unsupported,
)
from mnist_bench.core.events import OnEvent
from mnist_bench.core.types import (
    Absent,
    Blind,
    Certificate,
    ParityRecord,
    ParityResult,
    QuantisationShares,
    Record,
    Saturation,
    TargetLayers,
)
from mnist_bench.parity._asking import Answer, Plan, Workers, ask_all, unasked
from mnist_bench.parity._compare import Inputs, compare
from mnist_bench.parity._inputs import build_inputs
from mnist_bench.parity._int8 import Int8Bounds
from mnist_bench.parity._layers import Looking, furthest
from mnist_bench.parity._probes import TRIALS, unseen
from mnist_bench.parity._quantised import Certificates, uncertified
from mnist_bench.parity._reference import Weights
from mnist_bench.parity._shares import shares_of
from mnist_bench.parity._steps import NotCovered
from mnist_bench.parity._targets import Target, find_targets


def verify(folder: Path, dataset: data.Dataset, plan: Plan, on_event: OnEvent) -> ParityRecord:
    """Compare a run's exported files, and its weights, in all runtimes with the float64 reference.

    All of the run is read at the beginning: others may train it further, and export it, meanwhile.

    Args:
        folder: the run's folder; it must hold a checkpoint.
        dataset: the images; the test set is used, whole.
        plan: which runtimes, in which configurations.
        on_event: is called before each configuration.

    Raises:
        BadInput: the run has no weights, or there is nothing to compare.
        RecordDamaged: a file differs from the manifest; no runtime has seen it.
        TargetUnavailable: a runtime that was named cannot be used here.
    """
    record, (weights, targets) = store.steady(
        folder, lambda record: (weights_of(folder, record), find_targets(folder, record, plan.wanted))
    )
    found = Findings(build_inputs(dataset, weights, probing=True), skipped=targets.skipped)
    with Workers(plan.limits) as workers:
        looking = Looking(weights, found.inputs, workers, plan)
        for target in targets.ready:
            try:
                answers = found.add(target, ask_all(target, workers, found.inputs.groups, plan, on_event))
                found.look(target, answers, looking)
            except ModelRefused as error:
                refusal = f"it refused the file: {error}"
                found.add(target, [Answer(unasked(target, plan), None, target.precision, refusal)])
            except TargetUnavailable as error:
                of_host = target.host != hosts.HERE and target.precision == "fp32"
                (found.unreachable if of_host else found.skipped).append(_absent(target, plan, error))
            except Unreachable as error:
                remedy = "see what it says when it is run alone"
                found.unreachable.append(Absent(target=target.name(plan.device), reason=str(error), remedy=remedy))
    return parity_record(record, dataset, found, weights)


def _absent(target: Target, plan: Plan, error: TargetUnavailable) -> Absent:
    """Note that a target cannot be used on a device; raise where it was named, and nothing but this is left of it.

    What a runtime computes in besides float32 may be more than this processor has.
    """
    own = target.precision == "fp32"
    if own and target.runtime in plan.runtimes:
        raise TargetUnavailable(f"{target.name(plan.device)} cannot be used: {error}") from error
    name = target.runtime if own and target.host == hosts.HERE else target.name(plan.device)
    return Absent(target=name, reason=str(error), remedy="see mnist-bench runtimes")


def weights_of(folder: Path, record: Record) -> Weights:
    """Return the weights that a run has reached.

    Raises:
        BadInput: it has none yet.
        RecordDamaged: they are not those that were saved.
    """
    if record.checkpoint is None:
        raise BadInput(f"run {record.name!r} has no weights yet: train it first")
    return Weights.of(store.load_weights(folder, record.checkpoint.weights), record.config.activation)


@dataclass
class Findings:
    """What came of asking: results, and what cannot be asked here or did not answer."""

    inputs: Inputs
    results: list[ParityResult] = field(default_factory=list)
    saturation: dict[str, Saturation] = field(default_factory=dict)
    skipped: list[Absent] = field(default_factory=list)
    unreachable: list[Absent] = field(default_factory=list)
    layers: list[TargetLayers] = field(default_factory=list)
    shares: dict[str, QuantisationShares] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.certificates = Certificates(self.inputs)

    def add(self, target: Target, answers: Iterable[Answer]) -> list[Answer]:
        """Compare a target's answers with the reference, one after the other, as they come; return them."""
        compared = []
        for answer in answers:
            # Only now that a worker with limits has opened it is a file read here.
            asked, answered = answer.configuration, answer.logits is not None
            quantised = self.certificates.bounds(target, asked.batch_size) if answered else None
            self.results.append(result(self.inputs, answer, quantised))
            if answer.saturation:
                self.saturation[answer.configuration.target] = answer.saturation
            compared.append(answer)
        return compared

    def look(self, target: Target, answers: Sequence[Answer], looking: Looking) -> None:
        """Look at the layers of a target that has answered: where that is wanted, and where it claims fp32 and fails.

        What cannot be looked at is told where it was asked for, and is no failure.
        """
        answered = [answer for answer in answers if answer.logits is not None]
        if not answered:
            return
        try:
            if looking.plan.layers:
                self._tell(target, answered[0].shows, looking)
            self._blame(target, answers, looking)
        except (Unreachable, TargetUnavailable, RuntimeFailed, ModelRefused, NotCovered) as error:
            if looking.plan.layers:
                name = f"layers of {target.name(looking.plan.device)}"
                remedy = "look at them in onnxruntime, torch-eager or torchscript"
                self.skipped.append(Absent(target=name, reason=str(error), remedy=remedy))

    def _tell(self, target: Target, shows: bool, looking: Looking) -> None:
        """Add a target's layers, or of a quantised file what each of them costs; raises where it cannot be."""
        if not target.precision.startswith("int8"):
            if not shows:
                raise Unsupported("it does not show them")
            self.layers.append(looking.at(target))
        elif target.sha256 and target.sha256 not in self.shares:
            self.shares[target.sha256] = shares_of(target, looking.weights, self.inputs)

    def _blame(self, target: Target, answers: Sequence[Answer], looking: Looking) -> None:
        """Add to the first failure of a target that claims fp32 which of its layers is wrong."""
        first = len(self.results) - len(answers)
        for place, answer in enumerate(answers, first):
            failures = self.results[place].failures
            if failures and answer.logits is not None and answer.shows and target.precision == "fp32":
                blamed = looking.blamed(target, furthest(self.inputs, answer.logits))
                self.results[place] = replace(self.results[place], failures=(*failures, blamed))
                return


def result(inputs: Inputs, answer: Answer, quantised: Int8Bounds | None = None) -> ParityResult:
    """Compare an answer with the reference, and with what is proved of a quantised file."""
    if answer.logits is None:
        failure = f"it failed: {answer.failure}"
        return ParityResult(configuration=answer.configuration, rung=0, correct=0, failures=(failure,))
    compared = compare(inputs, answer.logits, answer.configuration, quantised, answer.arithmetic)
    claimed = answer.configuration.precision
    if answer.precision == claimed:
        return compared
    return replace(
        compared, failures=(*compared.failures, f"it runs in {answer.precision}, not in {claimed} as claimed")
    )


def parity_record(record: Record, dataset: data.Dataset, found: Findings, weights: Weights) -> ParityRecord:
    """Put together what is saved."""
    assert record.checkpoint
    inputs = found.inputs
    blind = _blind(inputs, weights) if inputs.probes else None
    inputs = inputs.first(len(inputs.images) - inputs.probes)
    ordered = np.sort(inputs.bounds.logits, axis=1)
    return ParityRecord(
        name=record.name,
        environment=environment.collect(),
        weights_sha256=record.checkpoint.weights.sha256,
        dataset=dataset.name,
        classes=dataset.classes,
        labels=tuple(inputs.labels.tolist()),
        edges=inputs.edges,
        reference_predictions=tuple(inputs.bounds.predictions.tolist()),
        reference_margins=tuple((ordered[:, -1] - ordered[:, -2]).tolist()),
        largest_logit=inputs.largest_logit,
        tolerance=inputs.tolerance,
        certificate=certificate(inputs),
        results=tuple(found.results),
        skipped=(*found.skipped, *found.certificates.absent),
        saturation=found.saturation,
        unreachable=tuple(found.unreachable),
        blind=blind,
        quantised=found.certificates.saved(),
        layers=tuple(found.layers),
        shares=tuple(found.shares.values()),
    )


def _blind(inputs: Inputs, weights: Weights) -> Blind:
    """Say what comparisons on these images would not see."""
    missed = unseen(weights, inputs.images, inputs.tolerance * inputs.scales, TRIALS)
    return Blind(probes=inputs.probes, unseen=missed, trials=TRIALS)


def certificate(inputs: Inputs) -> Certificate:
    """Summarise the bounds: how many test images are certified, and every image that is not."""
    bounds, images = inputs.bounds, len(inputs.labels)
    return Certificate(
        images=images,
        certified=int(bounds.certified[:images].sum()),
        uncertified=uncertified(inputs, bounds),
        largest_logit_bound=float(bounds.logit_bounds.max()),
        median_margin_bound=float(np.median(bounds.margin_bounds)),
    )
