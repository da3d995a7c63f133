"""Benchmarking."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import mnist_bench.report as reporting
from mnist_bench import store
from mnist_bench.analysis.timing import summarise, timed_calls
from mnist_bench.api._progress import told
from mnist_bench.api._runs import Named, folder_of, images_of
from mnist_bench.api._shown import Shown, View
from mnist_bench.api._stopping import ending_as_ctrl_c
from mnist_bench.bench import session
from mnist_bench.core.bench_types import QUICK_BLOCKS, BenchRecord, InferenceBenchRecord, TrainingBenchRecord
from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import DEFAULT_OUT
from mnist_bench.stages import benching
from mnist_bench.stages.options import Numbers, Place, Words, numbers, positive, whole, words
from mnist_bench.stages.options import threads as counted
from mnist_bench.stages.requests import Bench

SHOWN = ("latency", "throughput", "training-speed", "not-measured")
MOST_BLOCKS, LARGEST_SEED, LONGEST_S = 10_000, 2**63 - 1, 86_400


@dataclass(frozen=True, slots=True, repr=False)
class Benchmark(Shown):
    """How fast a run's targets are, or the training engines: the run's `folder`, and the saved `record`."""

    folder: Path
    record: BenchRecord

    @property
    def passed(self) -> bool:
        """Whether all blocks were measured, and everything in them."""
        return self.record.finished and not self.record.failures

    @property
    def latency_s(self) -> Mapping[tuple[str, int, int], float]:
        """The median seconds a call, by target, batch size and threads; none of a benchmark of training."""
        rows = timed_calls(self.record)
        places = [(row.configuration.target, row.configuration.batch_size, row.configuration.threads) for row in rows]
        return {place: summarise(self.record, row).p50 for place, row in zip(places, rows, strict=True)}

    def tables(self, *names: str) -> View:
        """Return some tables, such as `latency` or `cold-start`; all where none is named."""
        return View(tuple(reporting.bench_tables(self.record, self._options, names)))

    @property
    def _options(self) -> reporting.ViewOptions:
        return reporting.ViewOptions(out=self.folder.parent)

    def _blocks(self) -> Iterator[reporting.Block]:
        for name in SHOWN:
            yield from (table for table in reporting.bench_tables(self.record, self._options, [name]) if table.rows)
        material = reporting.Material(
            [store.load_record(self.folder)], benchmarks=[self.record], out=self.folder.parent
        )
        figure = "training-speed" if isinstance(self.record, TrainingBenchRecord) else "latency"
        yield from reporting.pictures(material, figure)

    def __repr__(self) -> str:
        done = f"{len(self.record.rows)} rows of {len(self.record.blocks)} blocks, {len(self.record.failures)} failed"
        return f"Benchmark({self.record.name!r}, {done}, folder={str(self.folder)!r})"


def bench(
    run: Named = None,
    *,
    training: bool = False,
    runtimes: Words = (),
    engines: Words = (),
    batch_sizes: Numbers = (),
    threads: Numbers = (),
    device: str = "cpu",
    hosts: Words = (),
    quick: bool = False,
    blocks: int | None = None,
    seed: int = 0,
    time_limit: float = 180,
    resume: bool = False,
    allow_busy: bool = False,
    out: Place = DEFAULT_OUT,
    data_dir: Place | None = None,
    progress: bool = True,
) -> Benchmark:
    """Measure latency, or the training engines, in fresh processes and interleaved blocks, as `mnist-bench bench` does.

    Args:
        run: a `Run`, its name in `out`, or its folder as a Path; the newest where it is None.
        training: the training engines, instead of the runtimes.
        runtimes: those to measure; all that are here where none is named.
        engines: the training engines to measure; all that are here where none is named.
        batch_sizes: images a call; 1, 32, 128 and 1,024 where none is given, 1 and 128 if `quick`.
        threads: CPU threads; 1 and all where none is given, all in training.
        device: `cpu`, `cuda` or `cuda:N`.
        hosts: where: `here`, `node`, `browser` or `cpp`.
        quick: few blocks, and few batch sizes.
        blocks: how often everything is measured: 12 where it is None, 6 if `quick`; fewer than 6 give no interval.
        seed: of the order within the blocks.
        time_limit: seconds that a process may take.
        resume: go on with the saved plan, where one was stopped.
        allow_busy: measure although others use this machine.
        out: the folder of the run folders.
        data_dir: where to look first for the images.
        progress: show how far it is.

    Raises:
        TooBusy: others use this machine.
        RunNotFound: there is no such run.
        BadInput: options have no such value, or do not go together.
        KeyboardInterrupt: Ctrl-C; the blocks that were done are saved, and `resume=True` goes on.
    """
    folder = folder_of(run, out)
    asked = Bench(
        name=None,
        out=folder.parent,
        data_dir=images_of(run, data_dir),
        device=device,
        runtimes=words("runtimes", runtimes),
        places=words("hosts", hosts),
        commands=(),
        command_format="onnx",
        command_precision="fp32",
        works="training" if training else "inference",
        gate=False,
        self_test=False,
        scenario=None,
        baseline=None,
        engines=words("engines", engines),
        batch_sizes=numbers("batch_sizes", batch_sizes),
        threads=counted(threads),
        time_limit=positive("time_limit", time_limit, LONGEST_S),
        quick=quick,
        seed=whole("seed", seed, LARGEST_SEED, 0),
        rate=None,
        latency_bound=0,
        duration=0,
        resume=resume,
        allow_busy=allow_busy,
    )
    _check_mixtures(asked, blocks)
    usual = QUICK_BLOCKS if quick else benching.BLOCKS
    return _measured(folder, asked, usual if blocks is None else whole("blocks", blocks, MOST_BLOCKS), progress)


def _measured(folder: Path, asked: Bench, blocks: int, progress: bool) -> Benchmark:
    store.load_record(folder)
    kind: type[BenchRecord] = TrainingBenchRecord if asked.works == "training" else InferenceBenchRecord
    with (
        ending_as_ctrl_c("the blocks that were done are saved: resume=True goes on"),
        store.locked(folder),
        told(progress) as shown,
    ):
        subject = benching.subject_in(folder, asked)
        if asked.resume:
            benching.check_programs(subject, kind, asked)
        plan = benching.plan_of(kind, subject, asked, blocks)
        record = session.bench(kind, subject, plan, shown.on_event, resume=asked.resume, allow_busy=asked.allow_busy)
    return Benchmark(folder, record)


def _check_mixtures(asked: Bench, blocks: int | None) -> None:
    """Refuse options that do not go together: none is ignored in silence."""
    if asked.engines and asked.works == "inference":
        raise BadInput("engines are of training: give training=True with them")
    if asked.runtimes and asked.works == "training":
        raise BadInput("runtimes are of inference: name training engines with engines")
    planned = (asked.runtimes, asked.engines, asked.batch_sizes, asked.threads, asked.quick, asked.seed, blocks)
    if asked.resume and (any(planned) or asked.device != "cpu"):
        raise BadInput("resume goes on with the saved plan: leave out what it has")
