"""Two sides in the same blocks: has anything become slower? Only what a second measurement confirms counts."""

import contextlib
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

import mnist_bench
from mnist_bench import data, hosts, runtimes, store
from mnist_bench.analysis.comparison import Compared
from mnist_bench.analysis.gate import BASELINE, CANDIDATE, judged, slower_of
from mnist_bench.analysis.self_test import half_widths
from mnist_bench.bench import inference
from mnist_bench.bench.blocks import TargetUnderTest
from mnist_bench.bench.session import Subject, begin, finish, name_of, new_record
from mnist_bench.core.bench_types import NULL, BenchPlan, GateRecord, InferenceBenchRecord, SelfTestRecord
from mnist_bench.core.dataset_names import shown
from mnist_bench.core.errors import BadInput, MnistBenchError
from mnist_bench.core.events import OnEvent
from mnist_bench.core.kinds import PROGRAM
from mnist_bench.core.types import Absent

IDENTIFY_S = 120  # importing another installation for the first time compiles its bytecode


@dataclass(frozen=True)
class Baseline:
    """What to compare with: another run, another runtime on the same run, or another installation's interpreter."""

    subject: Subject
    runtime: str | None = None
    python: tuple[str, ...] = ()


def resolve(reference: str, subject: Subject) -> Baseline:
    """Tell what a reference names: a runtime, a run beside this one, or a command that starts a Python.

    Raises:
        BadInput: it is none of these, or a run on other data.
    """
    if reference in runtimes.names():
        return Baseline(subject, runtime=reference)
    out = subject.folder.parent
    if _is_run(reference, out):
        return Baseline(_other_run(out, reference, subject))
    if python := _interpreter(reference):
        _check_another(python)
        return Baseline(subject, python=python)
    raise BadInput(
        f"baseline {reference!r} is no runtime ({', '.join(runtimes.names())}), no run in {out} "
        f"({', '.join(store.run_names(out))}), and no command that starts a Python which has mnist-bench"
    )


def starts_program(reference: str, subject: Subject) -> bool:
    """Tell whether a reference is a command, and no runtime and no run beside this one."""
    return reference not in runtimes.names() and not _is_run(reference, subject.folder.parent)


def _is_run(reference: str, out: Path) -> bool:
    return bool(store.NAME_PATTERN.fullmatch(reference)) and store.exists(store.run_folder(out, reference))


def _interpreter(reference: str) -> tuple[str, ...]:
    """Return the command that starts a Python: the one given, or that of a given `mnist-bench`; or nothing."""
    with contextlib.suppress(ValueError):  # a quotation mark without its other half
        command = shlex.split(reference)
        program = shutil.which(command[0]) if command else None
        if program and Path(program).name == PROGRAM:
            first = Path(program).read_text(encoding="utf-8", errors="replace").partition("\n")[0]
            return tuple(shlex.split(first.removeprefix("#!"))) if first.startswith("#!") else ()
        if program:
            return (str(Path(program).absolute()), *command[1:])
    return ()


def _check_another(python: tuple[str, ...]) -> None:
    """Raise where a command starts no Python that has mnist-bench, or one that finds this very mnist-bench."""
    given = shlex.join(python)
    try:
        launch = hosts.launch(hosts.Host("python", given))
        with hosts.started(launch, None, hosts.Limits(IDENTIFY_S)) as worker:
            found = worker.greet(NULL).origin
    except MnistBenchError as error:
        raise BadInput(
            f"baseline {given!r} starts no Python that has a mnist-bench to compare with: {error}"
        ) from error
    if found == whereabouts() and python[0] != sys.executable:
        raise BadInput(f"baseline {given!r} runs this very mnist-bench ({found}), not one of its own: give another")


def whereabouts() -> str:
    """Return which mnist-bench this is: the path of its package."""
    return str(Path(mnist_bench.__file__).parent)


def _other_run(out: Path, name: str, subject: Subject) -> Subject:
    folder = store.run_folder(out, name)
    record = store.load_record(folder)
    if record.config.dataset != subject.record.config.dataset:
        here = shown(subject.record.config.dataset)
        raise BadInput(f"run {name!r} is of {shown(record.config.dataset)}, not of {here}")
    return Subject(folder, record, data.load(record.config.dataset, subject.data_dir), subject.data_dir)


def sides(subject: Subject, baseline: Baseline, plan: BenchPlan) -> tuple[list[TargetUnderTest], tuple[Absent, ...]]:
    """Find the targets of both sides, and what cannot be measured."""
    other = baseline.subject
    inputs = theirs = inference.evaluation_inputs(subject.folder, subject.record, subject.dataset)
    if other is not subject:
        theirs = inference.evaluation_inputs(other.folder, other.record, other.dataset)
    ours, skipped = inference.targets_under_test(subject.folder, subject.record, plan, plan.targets, inputs)
    names = (baseline.runtime,) if baseline.runtime else plan.targets
    on = (hosts.Host("python", shlex.join(baseline.python)),) if baseline.python else ()
    found, missing = inference.targets_under_test(other.folder, other.record, plan, names, theirs, on)
    absent = [*_absent(CANDIDATE, skipped), *_absent(BASELINE, missing)]
    return [*_on(CANDIDATE, ours), *_on(BASELINE, found)], tuple(absent)


def _on(side: str, targets: Sequence[TargetUnderTest]) -> list[TargetUnderTest]:
    return [replace(found, side=side) for found in targets]


def _absent(side: str, skipped: Sequence[Absent]) -> list[Absent]:
    return [msgspec.structs.replace(one, target=f"{side}: {one.target}") for one in skipped]


def gate(
    subject: Subject,
    reference: str,
    plan: BenchPlan,
    on_event: OnEvent,
    *,
    resume: bool = False,
    allow_busy: bool = False,
) -> GateRecord:
    """Measure both sides interleaved; measure again, in another order, what was called SLOWER.

    Args:
        subject: the candidate's run.
        reference: the baseline; see `resolve`.
        plan: what to measure.
        on_event: is called before each process.
        resume: go on with the blocks that the saved gate lacks, by its plan.
        allow_busy: measure although others use this machine.

    Returns:
        The record, as saved in the candidate's folder after every block.

    Raises:
        BadInput: the reference names nothing, or the sides have nothing in common.
        MeasurementFailed: nothing could be measured.
    """
    begun, plan, conditions = begin(GateRecord, subject, plan, resume=resume, allow_busy=allow_busy)
    plan = msgspec.structs.replace(plan, baseline=plan.baseline or reference)
    targets, skipped = sides(subject, resolve(str(plan.baseline), subject), plan)
    saved = store.load_if_sound(subject.folder, SelfTestRecord)
    record = begun or new_record(GateRecord, subject, plan, conditions, skipped)
    record = msgspec.structs.replace(record, half_widths=half_widths(saved, record.environment))
    record = finish(record, targets, on_event, subject.folder)
    if slower := slower_of(judged(record)):
        second = msgspec.structs.replace(plan, seed=plan.seed + 1)
        confirmation = new_record(InferenceBenchRecord, subject, second, conditions, ())
        confirmation = finish(confirmation, _measured_again(slower, targets), on_event, None)
        record = msgspec.structs.replace(record, confirmation=confirmation)
        store.save(subject.folder, record)
    return record


def _measured_again(slower: Sequence[Compared], targets: Sequence[TargetUnderTest]) -> list[TargetUnderTest]:
    rows = [row for pair in slower for row in (pair.candidate, pair.baseline)]
    wanted = {(row.side, name_of(row.configuration)) for row in rows}
    return [found for found in targets if (found.side, found.name) in wanted]
