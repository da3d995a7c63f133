"""Asking every target about every image in every configuration, and comparing each with the one reference."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from mnist_bench import data, environment, hosts, runtimes, store
from mnist_bench.core.errors import BadInput, RuntimeFailed, TargetUnavailable, Unreachable
from mnist_bench.core.kinds import Precision
from mnist_bench.core.types import (
    Absent,
    Certificate,
    Configuration,
    ParityRecord,
    ParityResult,
    Record,
    Saturation,
    Uncertified,
)
from mnist_bench.parity._compare import Inputs, compare
from mnist_bench.parity._inputs import build_inputs
from mnist_bench.parity._reference import Weights
from mnist_bench.parity._targets import Target, Wanted, find_targets

TIME_LIMIT_S = 600.0

Told = Callable[[Configuration], None]


@dataclass(frozen=True)
class Plan:
    """What to verify, in which configurations; see `Wanted`. `time_limit_s` is what a worker may take in all."""

    runtimes: tuple[str, ...] = ()
    batch_sizes: tuple[int, ...] = (1, 7, 128, 10_000)
    threads: tuple[int, ...] = (1,)
    device: str = "cpu"
    on: tuple[hosts.Host, ...] = (hosts.HERE,)
    format: str = "onnx"
    precision: Precision = "fp32"
    time_limit_s: float = TIME_LIMIT_S

    @property
    def wanted(self) -> Wanted:
        """What to look for."""
        return Wanted(self.runtimes, self.device, self.on, self.format, self.precision)


def verify(folder: Path, record: Record, dataset: data.Dataset, plan: Plan, told: Told) -> ParityRecord:
    """Compare a run's exported files, and its weights, in all runtimes with the float64 reference.

    Args:
        folder: the run's folder.
        record: its record; it must hold a checkpoint.
        dataset: the images; the test set is used, whole.
        plan: which runtimes, in which configurations.
        told: is called before each configuration.

    Raises:
        BadInput: the run has no weights, or there is nothing to compare.
        RecordDamaged: a file differs from the manifest; no runtime has seen it.
        TargetUnavailable: a runtime that was named cannot be used here.
    """
    weights = weights_of(folder, record)
    targets = find_targets(folder, record, plan.wanted)
    inputs = build_inputs(dataset, weights)
    found = Findings(skipped=targets.skipped)
    for target in targets.ready:
        try:
            found.add(inputs, ask_all(target, inputs.images, plan, told))
        except TargetUnavailable as error:
            if target.runtime in plan.runtimes or target.host != hosts.HERE:
                raise TargetUnavailable(f"{target.name(plan.device)} cannot be used: {error}") from error
            found.skipped.append(Absent(target=target.runtime, reason=str(error), remedy="see mnist-bench runtimes"))
        except Unreachable as error:
            remedy = "see what it says when it is run alone"
            found.unreachable.append(Absent(target=target.name(plan.device), reason=str(error), remedy=remedy))
    return parity_record(record, dataset, inputs, found)


def weights_of(folder: Path, record: Record) -> Weights:
    """Return the weights that a run has reached.

    Raises:
        BadInput: it has none yet.
        RecordDamaged: they are not those that were saved.
    """
    if record.checkpoint is None:
        raise BadInput(f"run {record.name!r} has no weights yet: train it first")
    return Weights.of(store.load_arrays(folder, record.checkpoint.weights), record.config.activation)


@dataclass(frozen=True)
class Answer:
    """What a target said in one configuration: logits (n, 10), or why it failed; `precision` is the effective one."""

    configuration: Configuration
    logits: NDArray[Any] | None
    precision: str
    failure: str | None = None
    saturation: Saturation | None = None


@dataclass
class Findings:
    """What came of asking: results, and what cannot be asked here or did not answer."""

    results: list[ParityResult] = field(default_factory=list)
    saturation: dict[str, Saturation] = field(default_factory=dict)
    skipped: list[Absent] = field(default_factory=list)
    unreachable: list[Absent] = field(default_factory=list)

    def add(self, inputs: Inputs, answers: Iterable[Answer]) -> None:
        """Compare answers with the reference, one after the other, as they come."""
        for answer in answers:
            self.results.append(result(inputs, answer))
            if answer.saturation:
                self.saturation[answer.configuration.target] = answer.saturation


def result(inputs: Inputs, answer: Answer) -> ParityResult:
    """Compare an answer with the reference."""
    if answer.logits is None:
        failure = f"it failed: {answer.failure}"
        return ParityResult(configuration=answer.configuration, rung=0, correct=0, failures=(failure,))
    compared = compare(inputs, answer.logits, answer.configuration)
    claimed = answer.configuration.precision
    if answer.precision == claimed:
        return compared
    return replace(
        compared, failures=(*compared.failures, f"it runs in {answer.precision}, not in {claimed} as claimed")
    )


def ask_all(
    target: Target, images: NDArray[np.float32], plan: Plan, told: Told, memory_limit_bytes: int | None = None
) -> Iterator[Answer]:
    """Ask a target about all images with every number of threads and every batch size; a failure is an answer too.

    Raises:
        Unreachable: it cannot be asked.
        TargetUnavailable: it cannot be used on the plan's device.
    """
    limits = hosts.Limits(plan.time_limit_s, memory_limit_bytes or memory_limit(plan.device))
    with hosts.started(target.launch, target.model, limits) as worker:
        hello = worker.greet(plan.device)
        for threads in plan.threads:
            spec = runtimes.Spec(plan.device, threads, target.precision)
            asked = configuration(target, hello, spec, plan.batch_sizes[0], "none")
            try:
                opened, effective = worker.open(target.model, spec), worker.inspect()
                sums = effective.pair_sums
                saturation = Saturation.of(sums.largest, sums.beyond, sums.pairs) if sums else None
                for batch_size in _batch_sizes(target.model.batch or opened.batch, plan, len(images)):
                    asked = configuration(target, hello, spec, batch_size, effective.provider)
                    told(asked)
                    logits = worker.run(images, batch_size)
                    yield Answer(asked, logits, effective.precision, saturation=saturation)
            except RuntimeFailed as error:
                yield Answer(asked, None, target.precision, str(error))


def memory_limit(device: str) -> int | None:
    """Return how much memory a worker may take, in bytes: what is free; unlimited for CUDA."""
    return environment.free_memory_bytes() if device == "cpu" else None


def _batch_sizes(fixed: int | None, plan: Plan, images: int) -> tuple[int, ...]:
    return (fixed,) if fixed else tuple(dict.fromkeys(min(size, images) for size in plan.batch_sizes))


def configuration(
    target: Target, hello: hosts.Hello, spec: runtimes.Spec, batch_size: int, provider: str
) -> Configuration:
    """Describe a configuration that was run; version and provider are what was read back."""
    return Configuration(
        runtime=hello.runtime,
        version=hello.version,
        format=target.model.format,
        precision=target.precision,
        device=spec.device,
        provider=provider,
        threads=spec.threads,
        batch_size=batch_size,
        host=target.launch.label,
    )


def parity_record(record: Record, dataset: data.Dataset, inputs: Inputs, found: Findings) -> ParityRecord:
    """Put together what is saved."""
    assert record.checkpoint
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
        skipped=tuple(found.skipped),
        saturation=found.saturation,
        unreachable=tuple(found.unreachable),
    )


def certificate(inputs: Inputs) -> Certificate:
    """Summarise the bounds: how many test images are certified, and every image that is not."""
    bounds, images = inputs.bounds, len(inputs.labels)
    uncertified = [
        Uncertified(
            image=int(i),
            label=int(inputs.labels[i]) if i < images else None,
            prediction=int(bounds.predictions[i]),
            rival=int(bounds.rivals[i]),
            margin=float(bounds.margins[i]),
            bound=float(bounds.margin_bounds[i]),
        )
        for i in np.flatnonzero(~bounds.certified)
    ]
    return Certificate(
        images=images,
        certified=int(bounds.certified[:images].sum()),
        uncertified=tuple(uncertified),
        largest_logit_bound=float(bounds.logit_bounds.max()),
        median_margin_bound=float(np.median(bounds.margin_bounds)),
    )
