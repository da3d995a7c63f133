"""Running every runtime on every image in every configuration, and comparing each with the one reference."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from mnist_bench import data, environment, formats, runtimes, store
from mnist_bench.core.errors import BadInput, RecordDamaged, TargetUnavailable
from mnist_bench.core.types import (
    Absent,
    Artifact,
    Certificate,
    Configuration,
    Manifest,
    ParityRecord,
    ParityResult,
    Record,
    Saturation,
    Uncertified,
)
from mnist_bench.parity._compare import Inputs, compare
from mnist_bench.parity._inputs import build_inputs
from mnist_bench.parity._reference import Weights

Told = Callable[[Configuration], None]


@dataclass(frozen=True)
class Plan:
    """What to verify: all runtimes where `runtimes` is empty; a runtime that is named must be there."""

    runtimes: tuple[str, ...] = ()
    batch_sizes: tuple[int, ...] = (1, 7, 128, 10_000)
    threads: tuple[int, ...] = (1,)
    device: str = "cpu"


@dataclass(frozen=True)
class Target:
    """A runtime and the file that it opens."""

    runtime: str
    model: runtimes.Model


@dataclass
class Targets:
    """What can be compared, and what cannot."""

    ready: list[Target] = field(default_factory=list)
    skipped: list[Absent] = field(default_factory=list)

    def skip(self, target: str, reason: str, remedy: str) -> None:
        """Note an absence."""
        self.skipped.append(Absent(target=target, reason=reason, remedy=remedy))


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
    targets = find_targets(folder, record, plan.runtimes, plan.device)
    inputs = build_inputs(dataset, weights)
    answers = (answer for target in targets.ready for answer in answer_all(target, inputs.images, plan, told))
    results, saturation = compared(inputs, answers)
    return parity_record(record, dataset, inputs, results, targets.skipped, saturation)


def weights_of(folder: Path, record: Record) -> Weights:
    """Return the weights that a run has reached.

    Raises:
        BadInput: it has none yet.
        RecordDamaged: they are not those that were saved.
    """
    if record.checkpoint is None:
        raise BadInput(f"run {record.name!r} has no weights yet: train it first")
    return Weights.of(store.load_arrays(folder, record.checkpoint.weights), record.config.activation)


def find_targets(folder: Path, record: Record, names: Sequence[str], device: str) -> Targets:
    """Return which runtimes can open which of a run's files on a device, and which cannot.

    Args:
        folder: the run's folder.
        record: its record; it must hold a checkpoint.
        names: runtimes, which must all be there; all that are here where there are none.
        device: `cpu` or `cuda:N`.

    Raises:
        BadInput: there is nothing to open, or a runtime that was named answers nothing.
        RecordDamaged: a file differs from the manifest.
        TargetUnavailable: a runtime that was named cannot be used here.
    """
    targets = Targets()
    artifacts = checked_artifacts(folder)
    for name in names or runtimes.names():
        module = runtimes.load(name)
        if module.FORMAT is None:
            if name in names:
                raise BadInput(f"{name} answers nothing: name another runtime")
        elif missing := absence(name, module, device):
            if name in names:
                raise TargetUnavailable(f"{name} cannot be used: {missing.reason}; {missing.remedy}")
            targets.skipped.append(missing)
        elif module.FORMAT == "weights":
            _add_weights(targets, name, folder, record)
        else:
            _add_artifacts(targets, name, folder, record, artifacts, device)
    _refuse_missing(targets, names)
    if not targets.ready:
        raise BadInput(f"there is nothing to open in {folder}: export first, or name other runtimes")
    return targets


def checked_artifacts(folder: Path) -> tuple[Artifact, ...]:
    """Return what the manifest names, after checking every file of it, whoever is going to read it.

    Raises:
        RecordDamaged: a file differs from its hash, or is called what its format does not call it.
    """
    manifest = store.load(folder, Manifest)
    for entry in manifest.artifacts if manifest else ():
        if entry.format not in formats.names() or entry.name != formats.file_name(entry.format, entry.precision):
            raise RecordDamaged(
                f"{folder / store.NAMES[Manifest]} calls {entry.name} {entry.format} {entry.precision}: export anew"
            )
        store.checked(folder, entry)
    return manifest.artifacts if manifest else ()


def _refuse_missing(targets: Targets, names: Sequence[str]) -> None:
    """Raise where a runtime that was named has nothing to open."""
    ready = {target.runtime for target in targets.ready}
    for name in names:
        if name not in ready:
            absences = [entry for entry in targets.skipped if entry.target.partition(" ")[0] == name]
            raise BadInput("; ".join(f"{entry.target}: {entry.reason}: {entry.remedy}" for entry in absences))


def absence(name: str, module: Any, device: str) -> Absent | None:
    """Return why a runtime cannot be used on a device; None where it can."""
    if device.partition(":")[0] not in module.DEVICES:
        return Absent(target=name, reason=f"it does not run on {device}", remedy="use --device cpu")
    skipped = module.why_unavailable(device)
    return skipped and Absent(target=name, reason=skipped.reason, remedy=skipped.remedy)


def _add_weights(targets: Targets, name: str, folder: Path, record: Record) -> None:
    assert record.checkpoint
    path = store.checked(folder, record.checkpoint.weights)
    targets.ready.append(Target(name, runtimes.Model(path, "weights", "fp32", record.config.activation)))


def _add_artifacts(
    targets: Targets, name: str, folder: Path, record: Record, artifacts: Sequence[Artifact], device: str
) -> None:
    assert record.checkpoint
    module = runtimes.load(name)
    fitting = [entry for entry in artifacts if entry.format == module.FORMAT and entry.precision in module.PRECISIONS]
    again = f"mnist-bench export --run {record.name} --format {module.FORMAT}"
    if not fitting:
        targets.skip(name, f"the run holds no {module.FORMAT} file", again)
    for entry in fitting:
        if entry.weights_sha256 != record.checkpoint.weights.sha256:
            targets.skip(f"{name} {entry.name}", "it was exported before the run was trained further", again)
            continue
        if getattr(module, "COMPILED", False) and entry.device != device:
            targets.skip(f"{name} {entry.name}", f"it was compiled for {entry.device}", f"{again} --device {device}")
            continue
        model = runtimes.Model(folder / entry.name, entry.format, entry.precision, record.config.activation)
        targets.ready.append(Target(name, model))


@dataclass(frozen=True)
class Answer:
    """What a target said in one configuration: logits (n, 10), or why it failed."""

    configuration: Configuration
    logits: NDArray[np.float32] | None
    precision: str
    failure: str | None = None
    saturation: Saturation | None = None


def compared(inputs: Inputs, answers: Iterable[Answer]) -> tuple[list[ParityResult], dict[str, Saturation]]:
    """Compare answers with the reference; and say of each target that computes with int8 whether it can saturate."""
    results, saturation = [], {}
    for answer in answers:
        results.append(result(inputs, answer))
        if answer.saturation:
            saturation[answer.configuration.target] = answer.saturation
    return results, saturation


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


def answer_all(target: Target, images: NDArray[np.float32], plan: Plan, told: Told) -> Iterator[Answer]:
    """Ask a target about all images with every number of threads and every batch size; a failure is an answer too."""
    module = runtimes.load(target.runtime)
    for threads in plan.threads:
        spec = runtimes.Spec(plan.device, threads)
        asked = _configuration(target, spec, plan.batch_sizes[0], module.version(), "none")
        try:
            with module.open(target.model, spec) as session:
                effective = session.inspect()
                for batch_size in _batch_sizes(target.model, plan, len(images)):
                    asked = _configuration(target, spec, batch_size, module.version(), effective.provider)
                    told(asked)
                    logits = _logits(session, images, batch_size, target.model.batch)
                    yield Answer(asked, logits, effective.precision, saturation=effective.saturation)
        except MemoryError:
            raise  # this process's trouble, and no answer
        except Exception as error:  # noqa: BLE001 whatever a runtime raises is its answer
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            yield Answer(asked, None, target.model.precision, reason)


def _batch_sizes(model: runtimes.Model, plan: Plan, images: int) -> tuple[int, ...]:
    return (model.batch,) if model.batch else tuple(dict.fromkeys(min(size, images) for size in plan.batch_sizes))


def _configuration(target: Target, spec: runtimes.Spec, batch_size: int, version: str, provider: str) -> Configuration:
    return Configuration(
        runtime=target.runtime,
        version=version,
        format=target.model.format,
        precision=target.model.precision,
        device=spec.device,
        provider=provider,
        threads=spec.threads,
        batch_size=batch_size,
    )


def _logits(
    session: runtimes.Session, images: NDArray[np.float32], batch_size: int, fixed: int | None
) -> NDArray[np.float32]:
    """Ask a session batch by batch; the last is as short as it is, or filled up where the batch size is fixed."""
    parts = []
    for at in range(0, len(images), batch_size):
        batch = images[at : at + batch_size]
        missing = batch_size - len(batch) if fixed else 0
        asked = np.concatenate([batch, np.zeros((missing, *images.shape[1:]), np.float32)]) if missing else batch
        answer = np.array(session.run(asked))
        if len(answer) != len(asked):
            raise ValueError(f"{len(answer)} answers to {len(asked)} images")
        parts.append(answer[: len(batch)])
    return np.concatenate(parts)


def parity_record(
    record: Record,
    dataset: data.Dataset,
    inputs: Inputs,
    results: Sequence[ParityResult],
    skipped: Sequence[Absent],
    saturation: dict[str, Saturation],
) -> ParityRecord:
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
        results=tuple(results),
        skipped=tuple(skipped),
        saturation=saturation,
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
