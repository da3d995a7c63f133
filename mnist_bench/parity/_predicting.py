"""Asking the targets of a run about images that nobody knows the answer to."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from mnist_bench import store
from mnist_bench.core.errors import ModelRefused, TargetUnavailable, Unreachable
from mnist_bench.core.events import OnEvent
from mnist_bench.core.kinds import Precision
from mnist_bench.core.types import Absent
from mnist_bench.parity._asking import Plan, Workers, ask_all
from mnist_bench.parity._network import logits_of, reference_of
from mnist_bench.parity._targets import Target, find_targets

PRECISIONS = get_args(Precision)


@dataclass(frozen=True)
class Said:
    """What a target says to n images: logits float64 (n, classes), or why it says nothing."""

    target: str
    logits: NDArray[np.float64] | None
    failure: str | None = None


@dataclass(frozen=True)
class Predictions:
    """What the reference says, float64 (n, classes), what each target says, and which could not be asked."""

    reference: NDArray[np.float64]
    said: tuple[Said, ...]
    skipped: tuple[Absent, ...]


def predict(folder: Path, images: NDArray[np.float32], plan: Plan, on_event: OnEvent) -> Predictions:
    """Ask the reference, and all targets of a run in a plan's first configuration, about images.

    Args:
        folder: the run's folder; it must hold a checkpoint.
        images: float32 (n, 1, 28, 28) in [0, 1].
        plan: which runtimes, and in which configuration.
        on_event: is called before each target.

    Raises:
        BadInput: the run has no weights, or there is nothing to open.
        RecordDamaged: a file differs from the manifest; no runtime has seen it.
        TargetUnavailable: a runtime that was named cannot be used here.
    """
    _, (reference, targets) = store.steady(
        folder, lambda record: (reference_of(folder, record), find_targets(folder, record, plan.wanted))
    )
    expected = logits_of(reference, images)
    skipped, said = targets.skipped, list[Said]()
    with Workers(plan.limits) as workers:
        for target in sorted(targets.ready, key=lambda one: (one.runtime, PRECISIONS.index(one.precision))):
            try:
                said += _said(target, workers, images, plan, expected.shape, on_event)
            except TargetUnavailable as error:
                remedy = "see mnist-bench runtimes"
                skipped.append(Absent(target=target.name(plan.device), reason=str(error), remedy=remedy))
    return Predictions(expected, tuple(said), tuple(skipped))


def _said(
    target: Target,
    workers: Workers,
    images: NDArray[np.float32],
    plan: Plan,
    shape: tuple[int, ...],
    on_event: OnEvent,
) -> Iterator[Said]:
    name = target.name(plan.device)
    try:
        for answer in ask_all(target, workers, [images], plan, on_event):
            if answer.logits is None:
                yield Said(name, None, answer.failure)
            elif answer.logits.shape != shape or not np.isfinite(answer.logits).all():
                yield Said(name, None, f"its answers are not {shape[0]} × {shape[1]} finite numbers")
            else:
                yield Said(name, _as_logits(target, answer.logits.astype(np.float64)))
    except ModelRefused as error:
        yield Said(name, None, f"it refused the file: {error}")
    except Unreachable as error:
        yield Said(name, None, str(error))


def _as_logits(target: Target, answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what softmax makes the same probabilities of, where a file gives those: their logarithms."""
    if target.signature.ending != "softmax":
        return answers
    return np.asarray(np.log(np.maximum(answers, np.finfo(np.float64).tiny)), np.float64)
