"""What `mnist-bench bench` does in each of its modes."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import mnist_bench.report as report
from mnist_bench import environment, store
from mnist_bench.analysis import cases
from mnist_bench.analysis.gate import confirmed, judged, unpaired
from mnist_bench.analysis.load import Loaded
from mnist_bench.bench import gate as gates
from mnist_bench.bench import inference, loadgen, session
from mnist_bench.bench import self_test as self_tests
from mnist_bench.bench.session import Subject
from mnist_bench.cli._ci import Reporter, reporting
from mnist_bench.cli._output import newest_run, print_tables, show_result, write_json, write_text
from mnist_bench.cli._progress import processes_display, tell
from mnist_bench.core import commands
from mnist_bench.core.bench_types import (
    QUICK_BLOCKS,
    BenchPlan,
    BenchRecord,
    GateRecord,
    InferenceBenchRecord,
    SelfTestRecord,
    TrainingBenchRecord,
)
from mnist_bench.core.errors import (
    SIGNALLED,
    CheckFailed,
    Interrupted,
    MeasurementFailed,
    ParityBroken,
    RuntimeFailed,
    Slower,
    TargetUnavailable,
    Unreachable,
)
from mnist_bench.core.events import OnEvent
from mnist_bench.stages.benching import BLOCKS, FEW_BATCH_SIZES, check_programs, plan_of, plan_with, subject_in
from mnist_bench.stages.requests import Bench, Works

GATE_BLOCKS = 20  # a gate, at 1%, wants more
KINDS: dict[Works, tuple[type[BenchRecord], ...]] = {
    "inference": (InferenceBenchRecord,),
    "training": (TrainingBenchRecord,),
    "all": (InferenceBenchRecord, TrainingBenchRecord),
}


def find_folder(asked: Bench) -> Path:
    """Return the folder of a run, or of the newest; raises RunNotFound where there is none."""
    folder = store.run_folder(asked.out, asked.name or newest_run(asked.out))
    store.load_record(folder)
    return folder


def measure(subject: Subject, asked: Bench) -> None:
    """Measure inference, training, or both; show the tables of what was measured, even where the rest was stopped."""
    records: list[BenchRecord] = []
    try:
        records.extend(_measure(kind, subject, asked) for kind in KINDS[asked.works])
    finally:
        if records:
            _show(records, asked)


def _measure(kind: type[BenchRecord], subject: Subject, asked: Bench) -> BenchRecord:
    plan = plan_of(kind, subject, asked, QUICK_BLOCKS if asked.quick else BLOCKS)
    # What of --all had not begun when it was stopped begins with the resumption.
    resume = asked.resume and (asked.works != "all" or store.load_unfinished(subject.folder, kind) is not None)
    with _at_work(subject, kind, asked) as on_event:
        return session.bench(kind, subject, plan, on_event, resume=resume, allow_busy=asked.allow_busy)


@contextmanager
def _at_work(subject: Subject, kind: type[BenchRecord], asked: Bench) -> Iterator[OnEvent]:
    """Check what is to be resumed, show how far it is, and say at Ctrl-C how it goes on."""
    if asked.resume:
        check_programs(subject, kind, asked)
    with _interruptible(subject, kind, asked), processes_display(asked.quiet) as on_event:
        yield on_event


@contextmanager
def _interruptible(subject: Subject, kind: type[BenchRecord], asked: Bench) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into an error that says what is saved; the blocks that are done are."""
    before = _stamp(subject, kind)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stopped:
        number = 2 if isinstance(stopped, KeyboardInterrupt) else int(stopped.code or SIGNALLED) - SIGNALLED
        if _stamp(subject, kind) == before and not asked.resume:
            raise Interrupted("stopped before the first block was done; nothing was saved", number) from stopped
        saved = store.load_unfinished(subject.folder, kind)
        done = f"{len(saved.blocks)} of {saved.plan.blocks} blocks are saved" if saved else "nothing was saved"
        raise Interrupted(f"stopped; {done}: go on with {_resumption(subject, asked)}", number) from stopped


def _stamp(subject: Subject, kind: type[BenchRecord]) -> int | None:
    """Tell one state of an unfinished benchmark from another."""
    path = subject.folder / store.UNFINISHED[kind]
    return path.stat().st_mtime_ns if path.exists() else None


def _resumption(subject: Subject, asked: Bench) -> str:
    """Return the command that goes on with what was stopped."""
    work = () if asked.works == "inference" else (f"--{asked.works}",)
    mode = ("--gate",) if asked.gate else ("--self-test",) if asked.self_test else ()
    data_dir = ("--data-dir", str(subject.data_dir)) if subject.data_dir else ()
    busy = ("--allow-busy",) if asked.allow_busy else ()
    saved = store.load_unfinished(subject.folder, GateRecord) if asked.gate else None
    baseline = ("--baseline", saved.plan.baseline) if saved and saved.plan.baseline else ()
    named = asked.hosts if asked.places or asked.commands else ()
    hosts = [word for host in named for word in commands.host_option(str(host))]
    return commands.on_run("bench", subject.folder, *work, *mode, *baseline, *hosts, *data_dir, *busy, "--resume")


def gate(asked: Bench) -> None:
    """Compare with a baseline; raise Slower where two measurements say so."""
    with reporting("bench --gate", asked) as reporter:
        folder = find_folder(asked)
        with store.locked(folder):
            _gate(subject_in(folder, asked), asked, reporter)


def _gate(subject: Subject, asked: Bench, reporter: Reporter) -> None:
    plan = _gate_plan(asked, asked.runtimes)
    with _at_work(subject, GateRecord, asked) as on_event:
        record = gates.gate(
            subject, asked.baseline or "", plan, on_event, resume=asked.resume, allow_busy=asked.allow_busy
        )
    _show([record], asked)
    options = report.ViewOptions(out=asked.out)
    reporter.tell(cases.of_gate(record), record, lambda: report.bench_tables(record, options, ["gate"]))
    if slower := confirmed(record):
        worst = max(slower, key=lambda found: found.estimate.ratio)
        own = worst.candidate.configuration
        raise Slower(
            f"{len(slower)} of {len(judged(record))} rows are slower than {record.plan.baseline}, as a second "
            f"measurement confirms; the most: {own.target}, batch {own.batch_size}, {own.threads} thread(s), "
            f"{worst.estimate.ratio - 1:+.1%}"
        )
    _check_complete(record)


def _check_complete(record: GateRecord) -> None:
    """Raise where something was not compared: that nobody looked is no success."""
    failures = [*record.failures, *(record.confirmation.failures if record.confirmation else ())]
    if failures:
        first = failures[0]
        raise MeasurementFailed(
            f"{len(failures)} target(s) could not be measured, so nothing can be said of them; the first: "
            f"{first.side} {first.target}: {first.reason}"
        )
    if alone := unpaired(record):
        raise MeasurementFailed(
            f"{', '.join(alone)} could not be compared, the other side lacks it: name what both have with --runtime"
        )


def _gate_plan(asked: Bench, targets: tuple[str, ...]) -> BenchPlan:
    threads = tuple(dict.fromkeys((1, environment.default_threads())))
    own = tuple(dict.fromkeys(targets))
    return plan_with(asked, blocks=GATE_BLOCKS, targets=own, batch_sizes=FEW_BATCH_SIZES, threads=threads)


def self_test(subject: Subject, asked: Bench) -> None:
    """Run a target against itself, and show what this machine can tell apart."""
    plan = _gate_plan(asked, asked.runtimes or ("onnxruntime",))
    with _at_work(subject, SelfTestRecord, asked) as on_event:
        record = self_tests.self_test(subject, plan, on_event, resume=asked.resume, allow_busy=asked.allow_busy)
    _show([record], asked)


def load(subject: Subject, asked: Bench) -> None:
    """Drive sessions with MLPerf LoadGen; raise where one failed, or where LoadGen does not accept a result."""
    assert asked.scenario
    if missing := loadgen.why_unavailable():
        raise TargetUnavailable(str(missing))
    device = environment.resolve_device(asked.device)
    largest = 1 if asked.scenario == "single-stream" else loadgen.BATCH
    wanted = loadgen.Load(
        asked.scenario,
        duration_s=asked.duration,
        rate_per_s=asked.rate or 0.0,
        latency_bound_s=asked.latency_bound / 1000,
        batch_size=max(asked.batch_sizes, default=largest),
    )
    targets = loadgen.targets(subject, tuple(dict.fromkeys(asked.runtimes)), device)
    session.check_idle(device, asked.allow_busy)
    found: list[Loaded] = []
    failed: list[str] = []
    inputs = inference.evaluation_inputs(subject.folder, subject.record, subject.dataset)
    for target, threads in itertools.product(targets, asked.threads or (1,)):
        if not asked.quiet:
            tell(f"{target.name()}: {wanted.scenario}, {wanted.duration_s:g} s, {threads} thread(s)")
        try:
            found.append(loadgen.under_load(subject, target, wanted, threads, device, inputs))
        except (Unreachable, RuntimeFailed, ParityBroken) as error:
            failed.append(f"{target.name()}: {error}")
    _show_load(report.load_table(wanted.scenario, found, failed), found, failed, asked)


def _show_load(table: report.Table, found: list[Loaded], failed: list[str], asked: Bench) -> None:
    if asked.json_path:
        write_text(report.render("json", [table]), asked.json_path)
    show_result(
        asked.quiet,
        tables=lambda: print_tables("rich", [table]),
        line=lambda: report.load_line(asked.scenario or "", found, failed),
        data_to=asked.data_to,
    )
    if failed:
        raise MeasurementFailed(f"{len(failed)} session(s) could not be driven; the first: {failed[0]}")
    if refused := [one for one in found if not one.valid]:
        raise CheckFailed(f"LoadGen does not accept {len(refused)} of {len(found)} results: see {refused[0].path}")


def _show(records: Sequence[BenchRecord], asked: Bench) -> None:
    if asked.json_path:
        write_json(records, asked.json_path)
    options = report.ViewOptions(out=asked.out)
    show_result(
        asked.quiet,
        tables=lambda: print_tables(
            "rich", [table for record in records for table in report.bench_tables(record, options)]
        ),
        line=lambda: report.bench_line(records),
        data_to=asked.data_to,
    )
