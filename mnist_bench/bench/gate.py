"""Two sides in the same blocks: has anything become slower? Only what a second measurement confirms counts."""

import contextlib
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from mnist_bench import data, runtimes, store
from mnist_bench.bench import inference
from mnist_bench.bench.blocks import Contender
from mnist_bench.bench.comparison import Compared, compare_rows, key
from mnist_bench.bench.self_test import half_width
from mnist_bench.bench.session import Subject, Told, finish, looked_at, new_record
from mnist_bench.core.bench_types import BenchPlan, BenchRecord, GateRecord, Row, SelfTestRecord
from mnist_bench.core.errors import BadInput
from mnist_bench.core.stats import SMALLEST_DELTA
from mnist_bench.core.types import Absent

CANDIDATE, BASELINE = "candidate", "baseline"
ALPHA = 0.01
"""The chance that a gate, all its rows together, calls SLOWER what is not, before the confirmation."""
CONFIDENCE = 1 - 2 * ALPHA


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
    if store.NAME_PATTERN.fullmatch(reference) and store.exists(store.run_folder(out, reference)):
        return Baseline(_other_run(out, reference, subject))
    command = tuple(shlex.split(reference))
    if command and shutil.which(command[0]):
        return Baseline(subject, python=(str(shutil.which(command[0])), *command[1:]))
    raise BadInput(
        f"baseline {reference!r} is no runtime ({', '.join(runtimes.names())}), no run in {out} "
        f"({', '.join(store.run_names(out))}), and no command that starts a Python which has mnist-bench"
    )


def _other_run(out: Path, name: str, subject: Subject) -> Subject:
    folder = store.run_folder(out, name)
    record = store.load_record(folder)
    if record.config.dataset != subject.record.config.dataset:
        raise BadInput(f"run {name!r} is of {record.config.dataset}, not of {subject.record.config.dataset}")
    return Subject(folder, record, data.load(record.config.dataset, subject.data_dir), subject.data_dir)


@contextlib.contextmanager
def sides(
    subject: Subject, baseline: Baseline, plan: BenchPlan
) -> Iterator[tuple[list[Contender], tuple[Absent, ...]]]:
    """Find the contenders of both sides; their files last as long as this."""
    other = baseline.subject
    with contextlib.ExitStack() as stack:
        question = stack.enter_context(inference.asked(subject.folder, subject.record, subject.dataset))
        theirs = question
        if other is not subject:
            theirs = stack.enter_context(inference.asked(other.folder, other.record, other.dataset))
        ours, skipped = inference.contenders(subject.folder, subject.record, plan, plan.targets, question)
        names = (baseline.runtime,) if baseline.runtime else plan.targets
        found, _ = inference.contenders(other.folder, other.record, plan, names, theirs, baseline.python)
        yield [*_on(CANDIDATE, ours), *_on(BASELINE, found)], skipped


def _on(side: str, contenders: Sequence[Contender]) -> list[Contender]:
    return [replace(found, side=side) for found in contenders]


def gate(subject: Subject, reference: str, plan: BenchPlan, told: Told, *, allow_busy: bool = False) -> GateRecord:
    """Measure both sides interleaved; measure again, in another order, what was called SLOWER.

    Args:
        subject: the candidate's run.
        reference: the baseline; see `resolve`.
        plan: what to measure.
        told: is called before each process.
        allow_busy: measure although others use this machine.

    Returns:
        The record, as saved in the candidate's folder after every block.

    Raises:
        BadInput: the reference names nothing, or the sides have nothing in common.
        MeasurementFailed: nothing could be measured.
    """
    baseline = resolve(reference, subject)
    conditions = looked_at(plan.device, allow_busy)
    with sides(subject, baseline, plan) as (contenders, skipped):
        plan = msgspec.structs.replace(plan, baseline=reference)
        record = new_record(GateRecord, subject, plan, conditions, skipped)
        record = finish(record, contenders, told, saving(subject.folder))
        if slower := [compared for compared in judged(record) if compared.verdict == "SLOWER"]:
            again = _contenders_of(slower, contenders)
            second = msgspec.structs.replace(plan, seed=plan.seed + 1)
            confirmation = new_record(BenchRecord, subject, second, conditions, ())
            confirmation = finish(confirmation, again, told, lambda _: None)
            record = msgspec.structs.replace(record, confirmation=confirmation)
            store.save(subject.folder, record)
    return record


def saving(folder: Path) -> Callable[[GateRecord], None]:
    """Return what saves a record in a folder."""
    return lambda reached: store.save(folder, reached)


def _contenders_of(slower: Sequence[Compared], contenders: Sequence[Contender]) -> list[Contender]:
    wanted = {(row.side, row.configuration.target) for pair in slower for row in (pair.candidate, pair.baseline)}
    return [found for found in contenders if (found.side, found.target) in wanted]


def pairs(record: BenchRecord) -> list[tuple[Row, Row]]:
    """Return which row of the candidate is compared with which of the baseline.

    The same runtime and precision where the baseline has it; else, where the baseline is another runtime, that one's
    row of the same precision, or of float32.
    """
    theirs = {key(row.configuration): row for row in record.rows if row.side == BASELINE and row.samples}
    found = []
    for row in record.rows:
        if row.side == CANDIDATE and row.samples and row.configuration.format != inference.NULL:
            own = key(row.configuration)
            candidates = [own, (str(record.plan.baseline), *own[1:]), (str(record.plan.baseline), "fp32", *own[2:])]
            match = next((theirs[place] for place in candidates if place in theirs), None)
            if match is not None:
                found.append((row, match))
    return found


def judged(record: BenchRecord, delta: float = SMALLEST_DELTA) -> list[Compared]:
    """Judge a measurement of two sides; SLOWER with a nominal chance of 1% of any false alarm.

    Raises:
        BadInput: the sides have no configuration in common.
    """
    found = pairs(record)
    if not found:
        raise BadInput("the two sides share no configuration that could be measured, so nothing can be compared")
    return compare_rows(found, alpha=ALPHA, confidence=CONFIDENCE, delta=delta)


def confirmed(record: GateRecord) -> list[Compared]:
    """Return what both measurements call SLOWER, as the second found it."""
    if record.confirmation is None:
        return []
    first = {key(found.candidate.configuration) for found in judged(record) if found.verdict == "SLOWER"}
    again = [pair for pair in pairs(record.confirmation) if key(pair[0].configuration) in first]
    second = compare_rows(again, alpha=ALPHA, confidence=CONFIDENCE) if again else []
    return [found for found in second if found.verdict == "SLOWER"]


def tolerated(folder: Path) -> float:
    """Return what counts as equivalent: 2%, or the A/A half-width of a self-test in this folder where that is more."""
    saved = store.load(folder, SelfTestRecord)
    return max(SMALLEST_DELTA, half_width(saved) if saved and saved.finished else 0.0)
