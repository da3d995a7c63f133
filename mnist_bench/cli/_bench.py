"""What `mnist-bench bench` does in each of its modes."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mnist_bench import data, environment, report, store
from mnist_bench.analysis.gate import confirmed, judged, unpaired
from mnist_bench.analysis.load import Loaded
from mnist_bench.bench import gate as gates
from mnist_bench.bench import inference, loadgen, session
from mnist_bench.bench import self_test as self_tests
from mnist_bench.bench.session import Subject
from mnist_bench.cli._options import hosts_of
from mnist_bench.cli._output import newest_run, print_tables, write_json, write_text
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
    BadInput,
    CheckFailed,
    Interrupted,
    MeasurementFailed,
    ParityBroken,
    RuntimeFailed,
    Slower,
    TargetUnavailable,
    Unreachable,
)

BLOCKS, GATE_BLOCKS = 12, 20
FEW_BATCH_SIZES, BATCH_SIZES = (1, 128), (1, 32, 128, 1024)
KINDS: dict[str, tuple[type[BenchRecord], ...]] = {
    "inference": (InferenceBenchRecord,),
    "training": (TrainingBenchRecord,),
    "all": (InferenceBenchRecord, TrainingBenchRecord),
}
Given = dict[str, Any]


def find_subject(name: str | None, out: Path, data_dir: Path | None) -> Subject:
    """Load a run, or the newest, with its images.

    Raises:
        BadInput: it has no weights yet.
    """
    folder = store.run_folder(out, name or newest_run(out))
    record = store.load_record(folder)
    if record.checkpoint is None:
        raise BadInput(f"run {record.name!r} has no weights yet: train it first")
    return Subject(folder, record, data.load(record.config.dataset, data_dir), data_dir)


def measure(subject: Subject, given: Given) -> None:
    """Measure inference, training, or both; show the tables of what was measured, even where the rest was stopped."""
    records: list[BenchRecord] = []
    try:
        records.extend(_measure(kind, subject, given) for kind in KINDS[given["works"]])
    finally:
        if records:
            _show(records, given)


def _measure(kind: type[BenchRecord], subject: Subject, given: Given) -> BenchRecord:
    training = issubclass(kind, TrainingBenchRecord)
    quick, cores = given["quick"], environment.available_cores()
    batch_sizes = FEW_BATCH_SIZES if quick else BATCH_SIZES
    plan = _plan(
        given,
        blocks=QUICK_BLOCKS if quick else BLOCKS,
        targets=tuple(dict.fromkeys(given["engines"] if training else given["runtimes"])),
        batch_sizes=(subject.record.config.batch_size,) if training else batch_sizes,
        threads=(cores,) if training else (1, cores),
    )
    # What of --all had not begun when it was stopped begins with the resumption.
    resume = given["resume"] and (given["works"] != "all" or store.load_unfinished(subject.folder, kind) is not None)
    with _interruptible(subject, kind, given), processes_display(given["quiet"]) as told:
        return session.bench(kind, subject, plan, told, resume=resume, allow_busy=given["allow_busy"])


def _plan(given: Given, *, batch_sizes: Sequence[int], threads: Sequence[int], **fields: Any) -> BenchPlan:
    """Make a plan of what was given, and of defaults for what was not."""
    return BenchPlan(
        batch_sizes=given["batch_sizes"] or tuple(batch_sizes),
        threads=given["threads"] or tuple(dict.fromkeys(threads)),
        device=environment.resolve_device(given["device"]),
        seed=given["seed"],
        time_limit_s=given["time_limit"],
        hosts=tuple(map(str, hosts_of(given["places"], given["commands"]))),
        command_format=given["command_format"],
        command_precision=given["command_precision"],
        **fields,
    )


@contextmanager
def _interruptible(subject: Subject, kind: type[BenchRecord], given: Given) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into an error that says what is saved; the blocks that are done are."""
    before = _stamp(subject, kind)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stopped:
        number = 2 if isinstance(stopped, KeyboardInterrupt) else int(stopped.code or 128) - 128
        if _stamp(subject, kind) == before and not given["resume"]:
            raise Interrupted("stopped before the first block was done; nothing was saved", number) from stopped
        saved = store.load_unfinished(subject.folder, kind)
        done = f"{len(saved.blocks)} of {saved.plan.blocks} blocks are saved" if saved else "nothing was saved"
        raise Interrupted(f"stopped; {done}: go on with {_resumption(subject, given)}", number) from stopped


def _stamp(subject: Subject, kind: type[BenchRecord]) -> int | None:
    """Tell one state of an unfinished benchmark from another."""
    path = subject.folder / store.UNFINISHED[kind]
    return path.stat().st_mtime_ns if path.exists() else None


def _resumption(subject: Subject, given: Given) -> str:
    """Return the command that goes on with what was stopped."""
    work = () if given["works"] == "inference" else (f"--{given['works']}",)
    mode = ("--gate",) if given["gate"] else ("--self-test",) if given["self_test"] else ()
    data_dir = ("--data-dir", str(subject.data_dir)) if subject.data_dir else ()
    busy = ("--allow-busy",) if given["allow_busy"] else ()
    return commands.on_run("bench", subject.folder, *work, *mode, *data_dir, *busy, "--resume")


def gate(subject: Subject, given: Given) -> None:
    """Compare with a baseline; raise Slower where two measurements say so."""
    plan = _gate_plan(given, given["runtimes"])
    options = {"resume": given["resume"], "allow_busy": given["allow_busy"]}
    with _interruptible(subject, GateRecord, given), processes_display(given["quiet"]) as told:
        record = gates.gate(subject, given["baseline"] or "", plan, told, **options)
    _show([record], given)
    if slower := confirmed(record):
        worst = max(slower, key=lambda found: found.estimate.ratio)
        own = worst.candidate.configuration
        raise Slower(
            f"{len(slower)} of {len(judged(record))} rows are slower than {record.plan.baseline}, as a second "
            f"measurement confirms; the most: {own.target}, batch {own.batch_size}, {own.threads} thread(s), "
            f"{worst.estimate.ratio - 1:+.1%}"
        )
    _refuse_gaps(record)


def _refuse_gaps(record: GateRecord) -> None:
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


def _gate_plan(given: Given, targets: tuple[str, ...]) -> BenchPlan:
    threads = (1, environment.available_cores())
    own = tuple(dict.fromkeys(targets))
    return _plan(given, blocks=GATE_BLOCKS, targets=own, batch_sizes=FEW_BATCH_SIZES, threads=threads)


def self_test(subject: Subject, given: Given) -> None:
    """Run a target against itself, and show what this machine can tell apart."""
    plan = _gate_plan(given, given["runtimes"] or ("onnxruntime",))
    options = {"resume": given["resume"], "allow_busy": given["allow_busy"]}
    with _interruptible(subject, SelfTestRecord, given), processes_display(given["quiet"]) as told:
        record = self_tests.self_test(subject, plan, told, **options)
    _show([record], given)


def load(subject: Subject, given: Given) -> None:
    """Drive sessions with MLPerf LoadGen; raise where one failed, or where LoadGen does not accept a result."""
    if missing := loadgen.why_unavailable():
        raise TargetUnavailable(str(missing))
    device = environment.resolve_device(given["device"])
    largest = 1 if given["scenario"] == "single-stream" else loadgen.BATCH
    wanted = loadgen.Load(
        given["scenario"],
        duration_s=given["duration"],
        rate_per_s=given["rate"] or 0.0,
        latency_bound_s=given["latency_bound"] / 1000,
        batch_size=max(given["batch_sizes"], default=largest),
    )
    targets = loadgen.targets(subject, tuple(dict.fromkeys(given["runtimes"])), device)
    session.looked_at(device, given["allow_busy"])
    found: list[Loaded] = []
    failed: list[str] = []
    inputs = inference.evaluation_inputs(subject.folder, subject.record, subject.dataset)
    for target, threads in itertools.product(targets, given["threads"] or (1,)):
        if not given["quiet"]:
            tell(f"{target.name()}: {wanted.scenario}, {wanted.duration_s:g} s, {threads} thread(s)")
        try:
            found.append(loadgen.under_load(subject, target, wanted, threads, device, inputs))
        except (Unreachable, RuntimeFailed, ParityBroken) as error:
            failed.append(f"{target.name()}: {error}")
    _show_load(found, failed, given)


def _show_load(found: list[Loaded], failed: list[str], given: Given) -> None:
    table = report.load_table(given["scenario"], found, failed)
    if given["json_path"]:
        write_text(report.render("json", [table]), given["json_path"])
    if not given["quiet"] and given["json_path"] != Path("-"):
        print_tables("rich", [table])
    if failed:
        raise MeasurementFailed(f"{len(failed)} session(s) could not be driven; the first: {failed[0]}")
    if refused := [one for one in found if not one.valid]:
        raise CheckFailed(f"LoadGen does not accept {len(refused)} of {len(found)} results: see {refused[0].path}")


def _show(records: Sequence[BenchRecord], given: Given) -> None:
    if given["json_path"]:
        write_json(records, given["json_path"])
    if not given["quiet"] and given["json_path"] != Path("-"):
        options = report.ViewOptions()
        print_tables("rich", [table for record in records for table in report.bench_tables(record, options)])
