"""A benchmark from its plan to its saved record: probe, blocks, probe."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from mnist_bench import data, environment, store
from mnist_bench.analysis.machines import machine_differences, software_differences
from mnist_bench.bench import inference
from mnist_bench.bench._messages import Probed, ProbeRequest
from mnist_bench.bench.blocks import TargetUnderTest, measure_blocks
from mnist_bench.core import child
from mnist_bench.core.bench_types import BenchPlan, BenchRecord, Conditions, TrainingBenchRecord
from mnist_bench.core.errors import BadInput, EnvironmentProblem, MeasurementFailed, TooBusy
from mnist_bench.core.events import OnEvent
from mnist_bench.core.types import Absent, Configuration, Record, target_name

BUSY_SHARE = 0.4
"""Above this share of all cores nothing is measured: two busy programs on two cores slow each other several times."""

R = TypeVar("R", bound=BenchRecord)


@dataclass(frozen=True)
class Subject:
    """A run to measure: its folder, its record, its images, and where these are."""

    folder: Path
    record: Record
    dataset: data.Dataset
    data_dir: Path | None


def probe(device: str, threads: Sequence[int]) -> Probed:
    """Measure what this machine can do at best with each number of threads, in a process of its own."""
    return child.call(
        "mnist_bench.bench.prober:probe",
        ProbeRequest(device, tuple(threads)),
        Probed,
        time_limit_s=120 + 30 * len(threads),
        died_exit_code=EnvironmentProblem.exit_code,
    )


def check_idle(device: str, allow_busy: bool) -> Conditions:
    """Look at the machine before anything is timed.

    Raises:
        TooBusy: other processes, or the hypervisor's other guests, take so much that nothing can be said.
    """
    conditions = environment.conditions(device)
    taken = conditions.busy_share + (conditions.steal_share or 0.0)
    if taken > BUSY_SHARE and not allow_busy:
        raise TooBusy(
            f"other processes use {taken:.0%} of this machine's cores, so timings would be meaningless: "
            "stop them or wait, or use --allow-busy to measure anyway"
        )
    return conditions


def targets_of(
    kind: type[BenchRecord], subject: Subject, plan: BenchPlan
) -> tuple[list[TargetUnderTest], tuple[Absent, ...]]:
    """Find whom to measure for a kind of record, and what cannot be measured here."""
    if issubclass(kind, TrainingBenchRecord):
        from mnist_bench.bench import steps  # imports torch, which what is timed elsewhere need not wait for

        return steps.targets_under_test(subject.record, plan, plan.targets, subject.data_dir), ()
    inputs = inference.evaluation_inputs(subject.folder, subject.record, subject.dataset)
    return inference.targets_under_test(subject.folder, subject.record, plan, plan.targets, inputs)


def bench(
    kind: type[R],
    subject: Subject,
    plan: BenchPlan,
    on_event: OnEvent,
    *,
    resume: bool = False,
    allow_busy: bool = False,
) -> R:
    """Measure a run by a plan, and save the record in its folder after every block.

    Args:
        kind: `BenchRecord` for inference, `TrainingBenchRecord` for training.
        subject: the run.
        plan: what to measure; that of the saved record where `resume`.
        on_event: is called before each process.
        resume: go on with the blocks that the saved record lacks.
        allow_busy: measure although others use this machine.

    Returns:
        The finished record, as saved.

    Raises:
        BadInput: there is nothing to measure, or nothing to resume.
        TooBusy: nothing can be said on this machine now.
        MeasurementFailed: not one target could be measured.
    """
    begun, plan, conditions = begin(kind, subject, plan, resume=resume, allow_busy=allow_busy)
    targets, skipped = targets_of(kind, subject, plan)
    record = begun or new_record(kind, subject, plan, conditions, skipped)
    return finish(record, targets, on_event, subject.folder)


def begin(
    kind: type[R], subject: Subject, plan: BenchPlan, *, resume: bool, allow_busy: bool
) -> tuple[R | None, BenchPlan, Conditions]:
    """Return the record to go on with, if that is wanted, the plan to follow, and how the machine is now."""
    begun = resumable(kind, subject) if resume else None
    plan = begun.plan if begun else plan
    return begun, plan, check_idle(plan.device, allow_busy)


def new_record(
    kind: type[R], subject: Subject, plan: BenchPlan, conditions: Conditions, skipped: Sequence[Absent]
) -> R:
    """Return the record of a benchmark that has not begun, with the limits as they are before it."""
    assert subject.record.checkpoint
    found = probe(plan.device, plan.threads)
    return kind(
        name=subject.record.name,
        dataset=subject.dataset.name,
        weights_sha256=subject.record.checkpoint.weights.sha256,
        environment=environment.collect(plan.device),
        conditions=replace(conditions, builds=found.builds),
        plan=plan,
        # How many operations an imported network takes is not counted: nothing says what it needs at least.
        limits=() if subject.record.is_graph else found.limits,
        skipped=tuple(skipped),
    )


def finish(record: R, targets: Sequence[TargetUnderTest], on_event: OnEvent, folder: Path | None) -> R:
    """Measure the blocks that a record lacks, probe once more, and save; after every block beside the last record.

    Raises:
        BadInput: the files are no longer those that the first blocks measured.
        MeasurementFailed: not one target could be measured.
    """
    _check_unchanged(record, targets)
    record = measure_blocks(record, targets, on_event, partial(store.save_unfinished, folder) if folder else id)
    if not record.rows:
        why = "".join(f"; the first: {first.target}: {first.reason}" for first in record.failures[:1])
        raise MeasurementFailed(f"nothing could be measured{why}")
    if record.limits:
        with contextlib.suppress(child.ChildFailed):  # those from before the blocks are there
            record = replace(record, limits=record.limits + probe(record.plan.device, record.plan.threads).limits)
    if folder:
        store.save_finished(folder, record)
    return record


def _check_unchanged(record: BenchRecord, targets: Sequence[TargetUnderTest]) -> None:
    """Raise where a benchmark would go on with other targets, or other files, than it began with."""
    digests = {(one.side, one.name): one.sha256 for one in targets}
    rows = [(row.side, name_of(row.configuration), row.sha256) for row in record.rows]
    changed = [target for side, target, sha256 in rows if digests.get((side, target), "") != sha256]
    if record.blocks and {one.label for one in targets} != set(record.blocks[0].order):
        changed.append("the targets that are here")
    if changed:
        raise BadInput(f"{changed[0]} changed since the first blocks were measured: start again without --resume")


def name_of(configuration: Configuration) -> str:
    """Return the name by which a configuration's target is measured: whatever the device, which is the plan's."""
    return target_name(configuration.runtime, configuration.precision, host=configuration.host)


def resumable(kind: type[R], subject: Subject) -> R:
    """Return the unfinished record to go on with.

    Raises:
        BadInput: there is none, or it is of other weights or of another machine.
        DeviceUnavailable: its device is not here.
    """
    saved = store.load_unfinished(subject.folder, kind)
    if saved is None:
        raise BadInput(f"there is no unfinished benchmark in {subject.folder}: start one without --resume")
    if not subject.record.checkpoint or saved.weights_sha256 != subject.record.checkpoint.weights.sha256:
        raise BadInput(f"run {subject.record.name!r} was trained further since: start a new benchmark without --resume")
    here = environment.collect(environment.resolve_device(saved.plan.device))
    if unlike := machine_differences(saved.environment, here) + software_differences(saved.environment, here):
        raise BadInput(f"this is not the machine that the benchmark began on ({'; '.join(unlike)}): begin a new one")
    return replace(saved, name=subject.record.name, resumed_at=(*saved.resumed_at, environment.now()))
