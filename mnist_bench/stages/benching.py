"""Measuring a run: what is planned, where nothing else was asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_bench import data, environment, store
from mnist_bench.bench import gate as gates
from mnist_bench.bench.session import Subject
from mnist_bench.core import commands
from mnist_bench.core.bench_types import BenchPlan, BenchRecord, TrainingBenchRecord
from mnist_bench.core.errors import BadInput
from mnist_bench.stages.requests import Bench

if TYPE_CHECKING:
    from mnist_bench.hosts import Host

BLOCKS = 12
"""They separate ten runtimes after Holm."""

FEW_BATCH_SIZES, BATCH_SIZES = (1, 128), (1, 32, 128, 1024)


def subject_in(folder: Path, asked: Bench) -> Subject:
    """Load the run in a folder, which is locked, with its images.

    Raises:
        BadInput: it has no weights yet.
    """
    record = store.load_record(folder)
    if record.checkpoint is None:
        raise BadInput(f"run {record.name!r} has no weights yet: train it first")
    return Subject(folder, record, data.load(record.config.dataset, asked.data_dir), asked.data_dir)


def plan_of(kind: type[BenchRecord], subject: Subject, asked: Bench, blocks: int) -> BenchPlan:
    """Return the plan of a benchmark of inference or of training, in so many blocks."""
    training = issubclass(kind, TrainingBenchRecord)
    cores, batch_sizes = environment.default_threads(), FEW_BATCH_SIZES if asked.quick else BATCH_SIZES
    return plan_with(
        asked,
        blocks=blocks,
        targets=tuple(dict.fromkeys(asked.engines if training else asked.runtimes)),
        batch_sizes=(subject.record.config.batch_size,) if training else batch_sizes,
        threads=(cores,) if training else tuple(dict.fromkeys((1, cores))),
        hosts=asked.hosts if training else asked.all_hosts,
    )


def plan_with(
    asked: Bench,
    *,
    batch_sizes: Sequence[int],
    threads: Sequence[int],
    hosts: "Sequence[Host] | None" = None,
    **fields: Any,
) -> BenchPlan:
    """Make a plan of what was given, and of defaults for what was not; on the hosts that were named, unless told."""
    return BenchPlan(
        batch_sizes=asked.batch_sizes or tuple(batch_sizes),
        threads=asked.threads or tuple(dict.fromkeys(threads)),
        device=environment.resolve_device(asked.device),
        seed=asked.seed,
        time_limit_s=asked.time_limit,
        command_format=asked.command_format,
        command_precision=asked.command_precision,
        hosts=tuple(map(str, asked.hosts if hosts is None else hosts)),
        **fields,
    )


def check_programs(subject: Subject, kind: type[BenchRecord], asked: Bench) -> None:
    """Raise where a saved plan starts programs that were not named again: it may be anybody's."""
    saved = store.load_unfinished(subject.folder, kind)
    if saved is None:
        return
    typed = set(map(str, asked.hosts))
    programs = [host for host in saved.plan.hosts if ":" in host]
    named = asked.places or asked.commands
    if (programs or named) and typed != set(saved.plan.hosts):
        words = " ".join(commands.host_options(saved.plan))
        raise BadInput(f"the saved plan is of other hosts: to go on with it, name its own again: {words or 'none'}")
    reference = saved.plan.baseline
    program = reference is not None and gates.starts_program(reference, subject)
    if (program or asked.baseline) and asked.baseline != reference:
        raise BadInput(
            f"the saved plan has the baseline {reference!r}: to go on with it, name it again with --baseline"
        )
