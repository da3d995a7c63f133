"""What `mnist-bench bench` does in each of its modes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mnist_bench import data, environment, report, store
from mnist_bench.bench import gate as gates
from mnist_bench.bench import inference, loadgen, session
from mnist_bench.bench import self_test as self_tests
from mnist_bench.bench.session import Subject
from mnist_bench.cli._output import newest_run, print_tables, write_json
from mnist_bench.cli._progress import processes_display
from mnist_bench.core.bench_types import BenchPlan, BenchRecord, GateRecord, SelfTestRecord, TrainingBenchRecord
from mnist_bench.core.errors import BadInput, CheckFailed, Interrupted, MeasurementFailed, Slower, TargetUnavailable

QUICK_BLOCKS, BLOCKS, GATE_BLOCKS = 6, 12, 20
FEW_BATCH_SIZES, BATCH_SIZES = (1, 128), (1, 32, 128, 1024)
KINDS: dict[str, tuple[type[BenchRecord], ...]] = {
    "inference": (BenchRecord,),
    "training": (TrainingBenchRecord,),
    "all": (BenchRecord, TrainingBenchRecord),
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
    """Measure inference, training, or both; show the tables."""
    records = [_measure(kind, subject, given) for kind in KINDS[given["works"]]]
    _show(records, given)


def _measure(kind: type[BenchRecord], subject: Subject, given: Given) -> BenchRecord:
    training = issubclass(kind, TrainingBenchRecord)
    command = f"mnist-bench bench{' --training' if training else ''} {store.options(subject.folder)} --resume"
    quick, cores = given["quick"], environment.available_cores()
    batch_sizes = FEW_BATCH_SIZES if quick else BATCH_SIZES
    plan = _plan(
        given,
        blocks=QUICK_BLOCKS if quick else BLOCKS,
        targets=given["engines"] if training else given["runtimes"],
        batch_sizes=(subject.record.config.batch_size,) if training else batch_sizes,
        threads=(cores,) if training else (1, cores),
    )
    with _interruptible(subject, kind, f"go on with {command}"), processes_display(given["quiet"]) as told:
        return session.bench(kind, subject, plan, told, resume=given["resume"], allow_busy=given["allow_busy"])


def _plan(given: Given, *, batch_sizes: Sequence[int], threads: Sequence[int], **fields: Any) -> BenchPlan:
    """Make a plan of what was given, and of defaults for what was not."""
    return BenchPlan(
        batch_sizes=given["batch_sizes"] or tuple(batch_sizes),
        threads=given["threads"] or tuple(dict.fromkeys(threads)),
        device=environment.resolve_device(given["device"]),
        seed=given["seed"],
        time_limit_s=given["time_limit"],
        **fields,
    )


@contextmanager
def _interruptible(subject: Subject, kind: type[BenchRecord], advice: str) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into an error that says what is saved; the blocks that are done are."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stopped:
        number = 2 if isinstance(stopped, KeyboardInterrupt) else int(stopped.code or 128) - 128
        saved = store.load(subject.folder, kind)
        done = f"{len(saved.blocks)} of {saved.plan.blocks} blocks are saved" if saved else "no block was done"
        raise Interrupted(f"stopped; {done}: {advice}", number) from stopped


def gate(subject: Subject, given: Given) -> None:
    """Compare with a baseline; raise Slower where two measurements say so."""
    plan = _gate_plan(given, given["runtimes"])
    with _interruptible(subject, GateRecord, "begin the gate again"), processes_display(given["quiet"]) as told:
        record = gates.gate(subject, given["baseline"], plan, told, allow_busy=given["allow_busy"])
    _show([record], given, ("gate", *(["not-measured"] if record.failures or record.skipped else [])))
    if slower := gates.confirmed(record):
        worst = max(slower, key=lambda found: found.estimate.ratio)
        own = worst.candidate.configuration
        raise Slower(
            f"{len(slower)} of {len(gates.judged(record))} rows are slower than {given['baseline']}, as a second "
            f"measurement confirms; the most: {own.target}, batch {own.batch_size}, {own.threads} thread(s), "
            f"{worst.estimate.ratio - 1:+.1%}"
        )
    if record.failures:
        first = record.failures[0]
        raise MeasurementFailed(
            f"{len(record.failures)} target(s) could not be measured, so nothing can be said of them; the first: "
            f"{first.side} {first.target}: {first.reason}"
        )


def _gate_plan(given: Given, targets: tuple[str, ...]) -> BenchPlan:
    threads = (1, environment.available_cores())
    return _plan(given, blocks=GATE_BLOCKS, targets=targets, batch_sizes=FEW_BATCH_SIZES, threads=threads)


def self_test(subject: Subject, given: Given) -> None:
    """Run a target against itself, and show what this machine can tell apart."""
    plan = _gate_plan(given, given["runtimes"] or ("onnxruntime",))
    advice = "begin the self-test again"
    kind = SelfTestRecord
    with _interruptible(subject, kind, advice), processes_display(given["quiet"]) as told:
        record = self_tests.self_test(subject, plan, told, allow_busy=given["allow_busy"])
    _show([record], given, ("self-test",))


def load(subject: Subject, given: Given) -> None:
    """Drive sessions with MLPerf LoadGen; raise CheckFailed where LoadGen does not accept a result."""
    if missing := loadgen.why_unavailable():
        raise TargetUnavailable(str(missing))
    device = environment.resolve_device(given["device"])
    wanted = loadgen.Load(
        given["scenario"],
        duration_s=given["duration"],
        rate_per_s=given["rate"] or 0.0,
        latency_bound_s=given["latency_bound"] / 1000,
        batch_size=max(given["batch_sizes"], default=loadgen.BATCH),
    )
    threads = given["threads"] or (1,)
    session.looked_at(device, given["allow_busy"])
    with inference.asked(subject.folder, subject.record, subject.dataset) as question:
        found = [
            loadgen.under_load(subject, target, wanted, count, device, question)
            for target in loadgen.targets(subject, given["runtimes"], device)
            for count in threads
        ]
    if not given["quiet"]:
        print_tables("rich", [report.load_table(found)])
    if refused := [one for one in found if not one.valid]:
        raise CheckFailed(f"LoadGen does not accept {len(refused)} of {len(found)} results: see {refused[0].path}")


def _show(records: Sequence[BenchRecord], given: Given, only: Sequence[str] = ()) -> None:
    if given["json_path"]:
        write_json(records, given["json_path"])
    if not given["quiet"] and given["json_path"] != Path("-"):
        options = report.ViewOptions()
        print_tables("rich", [table for record in records for table in report.bench_tables(record, options, only)])
