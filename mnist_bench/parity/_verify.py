"""Asking every target about every image in every configuration, and comparing each with the one reference."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from mnist_bench import data, environment, hosts, store
from mnist_bench.core.dataset_names import output_names
from mnist_bench.core.errors import (
    ModelRefused,
    RuntimeFailed,
    TargetUnavailable,
    Unreachable,
    Unsupported,
)
from mnist_bench.core.events import OnEvent
from mnist_bench.core.signature import Signature
from mnist_bench.core.types import (
    Absent,
    Blind,
    Certificate,
    Diagnosis,
    ParityRecord,
    ParityResult,
    QuantisationShares,
    Record,
    Saturation,
    TargetLayers,
)
from mnist_bench.parity._asking import Answer, Plan, Workers, ask_all, unasked
from mnist_bench.parity._assuming import NOTHING, Assumption
from mnist_bench.parity._compare import Inputs, compare
from mnist_bench.parity._diagnosis import diagnose, told
from mnist_bench.parity._graph_step import NOT_COVERED
from mnist_bench.parity._inputs import build_inputs
from mnist_bench.parity._int8 import Int8Bounds
from mnist_bench.parity._layers import Looking, furthest
from mnist_bench.parity._network import Reference, reference_of
from mnist_bench.parity._probes import TRIALS, unseen
from mnist_bench.parity._quantised import MEASURED, Certificates, finite, uncertified
from mnist_bench.parity._reference import Weights
from mnist_bench.parity._shares import shares_of
from mnist_bench.parity._steps import NotCovered
from mnist_bench.parity._targets import Target, find_targets
from mnist_bench.parity.hypotheses import training_mode

ROUNDED = 1e-3
"""Answers of one file that differ by less, or by a smaller share, are wrong for the same reason."""

UNKNOWN, DOUBLE = "unknown", "fp64"
"""The precisions of a file that does not let it be told, and of one that computes in more than is claimed."""
NAMED = 5
"""So many layers without a certificate are named: a quantised graph has dozens."""


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
    record, (reference, targets) = store.steady(
        folder, lambda record: (reference_of(folder, record), find_targets(folder, record, plan.wanted))
    )
    inputs = build_inputs(dataset, reference, probing=True, assumption=plan.assumption)
    absent = [*targets.skipped, *uncovered(reference)]
    found = Findings(inputs, skipped=absent, assumption=plan.assumption)
    with Workers(plan.limits) as workers:
        looking = Looking(reference, found.inputs, workers, plan, folder)
        asking = Asking(found, looking, on_event, forgiving=record.imported is not None)
        for target in (one.under(plan.assumption) for one in targets.ready):
            asking.about(target)
        asking.close()
    return parity_record(record, dataset, found, reference, record.signature)


@dataclass
class Asking:
    """Asks targets of a run one after the other, and enters what comes of it.

    `forgiving`: that a runtime cannot open a file from elsewhere, as long as another one does, is no failure.
    """

    found: "Findings"
    looking: Looking
    on_event: OnEvent
    forgiving: bool
    unopened: list[tuple[Target, list[Answer]]] = field(default_factory=list)

    def about(self, target: Target) -> None:
        """Ask a target."""
        found, plan = self.found, self.looking.plan
        try:
            answers = ask_all(target, self.looking.workers, found.inputs.groups, plan, self.on_event)
            if self.forgiving:
                answers = iter(whole := list(answers))
                if all(answer.logits is None for answer in whole):
                    self.unopened.append((target, whole))
                    return
            found.look(target, found.add(target, answers), self.looking)
        except ModelRefused as error:
            refusal = f"it refused the file: {error}"
            found.add(target, [Answer(unasked(target, plan), None, target.precision, refusal)])
        except TargetUnavailable as error:
            of_host = target.host != hosts.HERE and target.precision == "fp32"
            (found.unreachable if of_host else found.skipped).append(_absent(target, plan, error))
        except Unreachable as error:
            remedy = "see what it says when it is run alone"
            found.unreachable.append(Absent(target=target.name(plan.device), reason=str(error), remedy=remedy))

    def close(self) -> None:
        """Enter what could not be opened: as skipped where the same file was opened by another runtime."""
        plan, results = self.looking.plan, tuple(self.found.results)
        for target, answers in self.unopened:
            same = [one for one in results if one.configuration.precision == target.precision]
            if same:
                self.found.skipped.append(not_opened(target, plan, answers[0].failure or "it gives no answer", same[0]))
            else:
                self.found.add(target, answers)


def not_opened(target: Target, plan: Plan, reason: str, other: ParityResult) -> Absent:
    """Note that a runtime cannot open a file from elsewhere that others open: it need not know every operator."""
    remedy = f"use {other.configuration.target}, which opens it"
    return Absent(target=target.name(plan.device), reason=reason, remedy=remedy)


def _absent(target: Target, plan: Plan, error: TargetUnavailable) -> Absent:
    """Note that a target cannot be used on a device; raise where it was named, and nothing but this is left of it.

    What a runtime computes in besides float32 may be more than this processor has.
    """
    own = target.precision == "fp32"
    if own and target.runtime in plan.runtimes:
        raise TargetUnavailable(f"{target.name(plan.device)} cannot be used: {error}") from error
    name = target.runtime if own and target.host == hosts.HERE else target.name(plan.device)
    return Absent(target=name, reason=str(error), remedy="see mnist-bench runtimes")


@dataclass
class Findings:
    """What came of asking: results, and what cannot be asked here or did not answer.

    `assumption` is what the targets' answers are taken for.
    """

    inputs: Inputs
    results: list[ParityResult] = field(default_factory=list)
    saturation: dict[str, Saturation] = field(default_factory=dict)
    skipped: list[Absent] = field(default_factory=list)
    unreachable: list[Absent] = field(default_factory=list)
    layers: list[TargetLayers] = field(default_factory=list)
    shares: dict[str, QuantisationShares] = field(default_factory=dict)
    diagnoses: list[Diagnosis] = field(default_factory=list)
    assumption: Assumption = NOTHING

    def __post_init__(self) -> None:
        self.certificates = Certificates(self.inputs, self.assumption)
        self._given: dict[tuple[str, str], Inputs] = {}

    def add(self, target: Target, answers: Iterable[Answer]) -> list[Answer]:
        """Compare a target's answers with the reference, one after the other, as they come; return them."""
        compared = []
        for answer in map(self._as_assumed, answers):
            # Only now that a worker with limits has opened it is a file read here.
            asked, answered = answer.configuration, answer.logits is not None
            quantised = self.certificates.bounds(target, asked.batch_size) if answered else None
            self.results.append(result(target, self.inputs_of(target), answer, quantised))
            if answer.saturation:
                self.saturation[answer.configuration.target] = answer.saturation
            compared.append(answer)
        return compared

    def inputs_of(self, target: Target) -> Inputs:
        """Return what a target's answers are compared with: those of some files are probabilities, or rounded."""
        signature = target.signature
        key = signature.ending, signature.answers
        if key not in self._given:
            self._given[key] = self.inputs.given_by(signature)
        return self._given[key]

    def _as_assumed(self, answer: Answer) -> Answer:
        if answer.logits is None:
            return answer
        return dataclasses.replace(answer, logits=self.assumption.of_answers(answer.logits))

    def look(self, target: Target, answers: Sequence[Answer], looking: Looking) -> None:
        """Look at the layers of a target that has answered: where that is wanted, and where it claims fp32 and fails.

        What cannot be looked at is told where it was asked for, and is no failure. Of one that fails it is said what is
        wrong.
        """
        answered = [answer for answer in answers if answer.logits is not None]
        if not answered:
            return
        looking = dataclasses.replace(looking, inputs=self.inputs_of(target))
        try:
            if looking.plan.layers:
                self._tell(target, answered[0].shows, looking)
            self._blame(target, answers, looking)
        except (Unreachable, TargetUnavailable, RuntimeFailed, ModelRefused, NotCovered) as error:
            if looking.plan.layers:
                name = f"layers of {target.name(looking.plan.device)}"
                own = looking.known_weights is not None
                remedy = "look at them in onnxruntime, torch-eager or torchscript" if own else MEASURED
                self.skipped.append(Absent(target=name, reason=str(error), remedy=remedy))
        self._diagnose(target, answers, looking)

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
                blamed = looking.blamed(target, furthest(looking.inputs, answer.logits))
                self.results[place] = replace(self.results[place], failures=(*failures, blamed))
                return

    def _diagnose(self, target: Target, answers: Sequence[Answer], looking: Looking) -> None:
        """Find out what is wrong with a target that fails, and say it of all configurations that answer alike."""
        begin = len(self.results) - len(answers)
        failed = [place for place in range(len(answers)) if self.results[begin + place].failures]
        first = next((answers[place] for place in failed if answers[place].logits is not None), None)
        if first is None:
            return
        batch_size = first.configuration.batch_size
        found = diagnose(target, first, looking, lambda: self.certificates.proof(target, batch_size))
        if found is None:
            return
        self.diagnoses.append(found)
        if (cause := found.cause) is None:
            return
        for place in failed:
            if cause.name == training_mode.NAME or _alike(first, answers[place]):
                self.results[begin + place] = told(self.results[begin + place], cause)


def _alike(one: Answer, other: Answer) -> bool:
    """Tell whether two configurations of a target give the same answers but for rounding."""
    if one.logits is None or other.logits is None or one.logits.shape != other.logits.shape:
        return False
    return bool(np.allclose(one.logits, other.logits, rtol=ROUNDED, atol=ROUNDED, equal_nan=True))


def uncovered(reference: Reference) -> list[Absent]:
    """Return what keeps a certificate from covering a network, an entry for each layer."""
    named_so = () if isinstance(reference, Weights) else reference.uncovered
    layers = [one.removesuffix(NOT_COVERED) for one in named_so]
    named = [*layers[:NAMED], *([f"{len(layers) - NAMED:,} more layers"] if len(layers) > NAMED else [])]
    return [Absent(target=f"certificate of {layer}", reason="it is not covered", remedy=MEASURED) for layer in named]


def result(target: Target, inputs: Inputs, answer: Answer, quantised: Int8Bounds | None = None) -> ParityResult:
    """Compare a target's answer with the reference, and with what is proved of a quantised file."""
    if answer.logits is None:
        failure = f"it failed: {answer.failure}"
        return ParityResult(
            configuration=answer.configuration, sha256=target.sha256, rung=0, correct=0, failures=(failure,)
        )
    compared = compare(inputs, answer.logits, answer.configuration, quantised, answer.arithmetic)
    compared = replace(compared, sha256=target.sha256)
    claimed = answer.configuration.precision
    if answer.precision in (claimed, UNKNOWN) or (claimed, answer.precision) == ("fp32", DOUBLE):
        return compared
    return replace(
        compared, failures=(*compared.failures, f"it runs in {answer.precision}, not in {claimed} as claimed")
    )


def parity_record(
    record: Record, dataset: data.Dataset, found: Findings, reference: Reference, signature: Signature
) -> ParityRecord:
    """Put together what is saved; `signature` is that of the model whose predictions are certified."""
    assert record.checkpoint
    inputs = found.inputs
    # Behind a softmax most logits no longer show: nobody has counted what that hides.
    shown = inputs.probes and inputs.output == "logits"
    blind = _blind(inputs, reference) if shown and isinstance(reference, Weights) else None
    inputs = inputs.first(len(inputs.images) - inputs.probes)
    ordered = np.sort(inputs.bounds.logits, axis=1)
    return ParityRecord(
        name=record.name,
        environment=environment.collect(),
        weights_sha256=record.checkpoint.weights.sha256,
        dataset=dataset.name,
        classes=output_names(dataset.classes, inputs.bounds.logits.shape[1]),
        labels=tuple(inputs.labels.tolist()),
        edges=inputs.edges,
        reference_predictions=tuple(inputs.bounds.predictions.tolist()),
        reference_margins=tuple((ordered[:, -1] - ordered[:, -2]).tolist()),
        largest_logit=inputs.largest_logit,
        tolerance=inputs.tolerance,
        certificate=certificate(_as_answered(inputs, signature)),
        results=tuple(found.results),
        skipped=(*found.skipped, *found.certificates.absent),
        saturation=found.saturation,
        unreachable=tuple(found.unreachable),
        blind=blind,
        quantised=found.certificates.saved(),
        layers=tuple(found.layers),
        shares=tuple(found.shares.values()),
        diagnoses=tuple(found.diagnoses),
        assumed=found.assumption.names,
    )


def _blind(inputs: Inputs, weights: Weights) -> Blind:
    """Say what comparisons on these images would not see."""
    missed = unseen(weights, inputs.images, inputs.tolerance * inputs.scales, TRIALS)
    return Blind(probes=inputs.probes, unseen=missed, trials=TRIALS)


def _as_answered(inputs: Inputs, signature: Signature) -> Inputs:
    """Return the inputs with what is proved of the predictions that a model makes of its logits."""
    given = inputs.given_by(signature).bounds
    bounds = dataclasses.replace(inputs.bounds, margin_bounds=given.margin_bounds, certified=given.certified)
    return dataclasses.replace(inputs, bounds=bounds)


def certificate(inputs: Inputs) -> Certificate:
    """Summarise the bounds: how many test images are certified, and every image that is not."""
    bounds, images = inputs.bounds, len(inputs.labels)
    return Certificate(
        images=images,
        certified=int(bounds.certified[:images].sum()),
        uncertified=uncertified(inputs, bounds),
        largest_logit_bound=finite(bounds.logit_bounds.max()),
        median_margin_bound=finite(np.median(bounds.margin_bounds)),
    )
