"""The order of what follows a training: export, verify, bench, page; each is done only where it is lacking.

Every stage saves what it made, so that the same call goes on where an earlier one was stopped. Nothing is printed:
`on_event` is called. What fails does not stop the rest; it is handed back, and the page shows what is missing.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

import mnist_bench.report as report
from mnist_bench import data, environment, formats, hosts, parity, runtimes, store
from mnist_bench.bench import session
from mnist_bench.core.bench_types import BenchPlan, InferenceBenchRecord
from mnist_bench.core.errors import MnistBenchError, ParityBroken, Unanswered
from mnist_bench.core.events import Exporting, OnEvent, StageBegan, StageEnded
from mnist_bench.core.kinds import WEIGHTS, Precision, Skipped
from mnist_bench.core.types import Absent, Artifact, Manifest, ParityRecord, Record

BLOCKS, BATCH_SIZES = 6, (1, 128)  # as `bench --quick`
COMPILED_FORMATS, COMPILED_RUNTIMES = ("aotinductor",), ("aotinductor", "torch-compile")
QUICK_PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
QUICK_RUNTIMES = ("onnxruntime", "torch-eager", "torchscript", "null")
LEFT_OUT, REMEDY = "--quick leaves it out", "mnist-bench run without --quick"

Pair = tuple[str, Precision]
Asked = tuple[str, Precision, str, str | None]
"""A runtime, a precision, the label of a host, and the SHA-256 of what is opened, if anything is."""


@dataclass(frozen=True)
class Settings:
    """How far to go: `quick` leaves out what compiles, and benches a few runtimes with all cores alone."""

    quick: bool
    device: str
    data_dir: Path | None
    allow_busy: bool


def finish(
    folder: Path, record: Record, dataset: data.Dataset, settings: Settings, on_event: OnEvent
) -> list[MnistBenchError]:
    """Export, verify and bench a trained run, as far as that is lacking.

    Args:
        folder: the run's folder.
        record: its finished record.
        dataset: its images.
        settings: how far to go.
        on_event: is called as the work goes on.

    Returns:
        What failed; the rest was done all the same.
    """
    errors: list[MnistBenchError] = []
    stages: tuple[tuple[str, Callable[[], str]], ...] = (
        ("export", lambda: _export(folder, record, settings, errors, on_event)),
        ("verify", lambda: _verify(folder, record, dataset, settings, on_event)),
        ("bench", lambda: _bench(folder, record, dataset, settings, on_event)),
    )
    for name, work in stages:
        on_event(StageBegan(record.name, name))
        began = time.monotonic()
        try:
            remark = work()
        except MnistBenchError as error:
            errors.append(error)
            remark = f"failed: {error}"
        on_event(StageEnded(record.name, name, time.monotonic() - began, remark))
    return errors


def gathered(folders: Sequence[Path], data_dir: Path | None) -> report.Material:
    """Return all that is known of some runs, for their page and for the screen."""
    material = report.gather(folders)
    name = material.records[0].dataset.name
    images = report.matching_images(material.records, lambda: data.load(name, data_dir, download=False))
    return report.with_studies_beside(replace(material, dataset=images), folders[0].parent)


def _export(folder: Path, record: Record, settings: Settings, errors: list[MnistBenchError], on_event: OnEvent) -> str:
    """Write the files that are lacking, or are of older weights; note what fails."""
    made, remarks = 0, []
    there = _exported(folder, record)
    with store.locked(folder):
        for name, precision in _wanted(record, settings):
            if (name, precision) in there:
                continue
            on_event(Exporting(name, precision))
            try:
                done = _written(folder, record, name, precision, settings)
            except MnistBenchError as error:
                errors.append(error)
                remarks.append(f"{name} {precision}: {error}")
                continue
            if isinstance(done, Skipped):
                remarks.append(str(done))
            else:
                made += 1
    return "; ".join([f"{made} files" if made or remarks else "nothing was lacking", *remarks])


def _written(folder: Path, record: Record, name: str, precision: Precision, settings: Settings) -> Artifact | Skipped:
    device = settings.device if name in COMPILED_FORMATS else "cpu"
    return formats.export(
        folder,
        record,
        name,
        precision=precision,
        data_dir=settings.data_dir,
        device=device,
        reference=lambda: parity.reference_answers(folder, record, settings.data_dir),
    )


def _wanted(record: Record, settings: Settings) -> list[Pair]:
    names = [name for name in formats.names() if not (settings.quick and name in COMPILED_FORMATS)]
    names = [name for name in names if formats.writes(name, record)]
    return [
        (name, precision)
        for name in names
        for precision in formats.precisions(name)
        if not settings.quick or precision in QUICK_PRECISIONS
    ]


def _exported(folder: Path, record: Record) -> set[Pair]:
    """Return what is there of the present weights."""
    return {(entry.format, entry.precision) for entry in _present(folder, record)}


def _present(folder: Path, record: Record) -> list[Artifact]:
    """Return the exported files that are there as the manifest says, and are of the present weights."""
    manifest, checkpoint = store.load(folder, Manifest), record.checkpoint
    found = manifest.artifacts if manifest else ()
    of_these = [entry for entry in found if checkpoint and entry.weights_sha256 == checkpoint.weights.sha256]
    return [entry for entry in of_these if store.is_whole(folder, entry)]


def _verify(folder: Path, record: Record, dataset: data.Dataset, settings: Settings, on_event: OnEvent) -> str:
    """Compare all runtimes with the reference, unless that was done with these very files; raise where one is wrong."""
    names = _openable(folder, record, _here(settings)) if settings.quick else ()
    cores = environment.default_threads()
    plan = parity.Plan(
        runtimes=names,
        batch_sizes=BATCH_SIZES if settings.quick else parity.Plan.batch_sizes,
        threads=(cores,) if settings.quick else tuple(dict.fromkeys((1, cores))),
        device=settings.device,
        on=_places(settings),
    )
    found, fresh = store.load_if_sound(folder, ParityRecord), False
    expected = {
        (one.runtime, one.precision, one.launch.label, one.sha256)
        for one in parity.find_targets(folder, record, parity.Wanted(names, settings.device, plan.on)).ready
    }
    if found is None or not _covers(record, found, expected, plan):
        found, fresh = parity.verify(folder, dataset, plan, on_event), True
        left = [*_left_out(record, settings), *_unopenable(record, settings, names)]
        store.save(folder, msgspec.structs.replace(found, skipped=(*found.skipped, *left)))
    failed = [result for result in found.results if result.failures]
    if failed:
        raise ParityBroken(
            f"{len(failed)} of {len(found.results)} configurations of {record.name!r} do not give the reference's "
            f"answers; the first: {failed[0].configuration.target}: {'; '.join(failed[0].failures)}"
        )
    if found.unreachable:
        lost = found.unreachable[0]
        raise Unanswered(
            f"{len(found.unreachable)} target(s) of {record.name!r} could not be asked: {lost.target}: {lost.reason}"
        )
    targets = len({result.configuration.target for result in found.results})
    return f"{targets} targets passed" + ("" if fresh else " before")


def _places(settings: Settings) -> tuple[hosts.Host, ...]:
    return (hosts.HERE,) if settings.quick else hosts.everywhere(settings.device)


def _covers(record: Record, found: ParityRecord, expected: set[Asked], plan: parity.Plan) -> bool:
    """Tell whether a comparison is of the present weights and files, and of all that is asked."""
    assert record.checkpoint
    own = [(result.configuration, result.sha256) for result in found.results]
    there = {(one.runtime, one.precision, one.host, sha256) for one, sha256 in own}
    asked = {(one.batch_size, one.threads) for one, _ in own}
    images = len(found.labels) + len(found.edges)
    wanted = {(min(size, images), threads) for size in plan.batch_sizes for threads in plan.threads}
    of_these = found.weights_sha256 == record.checkpoint.weights.sha256 and not found.assumed
    return of_these and expected <= there and wanted <= asked


def _here(settings: Settings) -> tuple[str, ...]:
    """Return the runtimes that answer and can be used here, but for those that compile."""
    kind = settings.device.partition(":")[0]
    modules = {name: runtimes.load(name) for name in runtimes.names() if name not in COMPILED_RUNTIMES}
    return tuple(
        name
        for name, module in modules.items()
        if module.FORMAT and kind in module.DEVICES and not module.why_unavailable()
    )


def _openable(folder: Path, record: Record, names: Sequence[str]) -> tuple[str, ...]:
    """Return the runtimes that open something of a run: of an imported graph, those that read what it was exported to.

    Of the specified network everything can be exported, and what could not be is to be seen.
    """
    if not record.is_graph:
        return tuple(names)
    there = {entry.format for entry in _present(folder, record)}
    return tuple(name for name in names if runtimes.load(name).FORMAT in there)


def _unopenable(record: Record, settings: Settings, names: Sequence[str]) -> Iterator[Absent]:
    """Say of every runtime that has nothing to open of an imported graph that it has not."""
    if settings.quick and record.is_graph:
        for name in (*_here(settings), *COMPILED_RUNTIMES):
            if name not in names:
                reason = "the network is an imported graph, and nothing that it opens can be written of that"
                yield Absent(target=name, reason=reason, remedy=parity.GRAPH_REMEDY)


def _left_out(record: Record, settings: Settings, kept: Sequence[str] = ()) -> Iterator[Absent]:
    """Say of everything that --quick leaves out that it does: absence never looks like success."""
    if settings.quick and not record.is_graph:
        for name in runtimes.names():
            if name in COMPILED_RUNTIMES or (kept and name not in kept):
                yield Absent(target=name, reason=LEFT_OUT, remedy=REMEDY)


def _bench(folder: Path, record: Record, dataset: data.Dataset, settings: Settings, on_event: OnEvent) -> str:
    """Measure latency in six blocks, or the blocks that are lacking; nothing where it was done with these weights."""
    subject = session.Subject(folder, record, dataset, settings.data_dir)
    plan = _plan(folder, record, settings)
    saved = store.load_if_sound(folder, InferenceBenchRecord)
    if saved and _measured(saved, folder, record, plan):
        return f"{len(saved.rows)} rows before"
    with store.locked(folder):
        done = session.bench(
            InferenceBenchRecord,
            subject,
            plan,
            on_event,
            resume=_resumable(subject, plan),
            allow_busy=settings.allow_busy,
        )
        left = tuple(_left_out(record, settings, QUICK_RUNTIMES))
        store.save(folder, msgspec.structs.replace(done, skipped=(*done.skipped, *left)))
    return f"{len(done.rows)} rows, {len(done.failures)} could not be measured"


def _plan(folder: Path, record: Record, settings: Settings) -> BenchPlan:
    cores = environment.default_threads()
    here = {*_openable(folder, record, _here(settings)), "null"}
    return BenchPlan(
        blocks=BLOCKS,
        targets=tuple(name for name in QUICK_RUNTIMES if name in here) if settings.quick else (),
        batch_sizes=BATCH_SIZES,
        threads=(cores,) if settings.quick else tuple(dict.fromkeys((1, cores))),
        device=settings.device,
        hosts=tuple(map(str, _places(settings))),
    )


def _measured(saved: InferenceBenchRecord, folder: Path, record: Record, plan: BenchPlan) -> bool:
    """Tell whether a benchmark is finished, and is of the present files and of at least what is planned."""
    assert record.checkpoint
    hashes = {row.sha256 for row in saved.rows if row.kind == "inference" and row.configuration.format != WEIGHTS}
    present = {entry.sha256 for entry in _present(folder, record)}
    pairs = [
        (plan.threads, saved.plan.threads),
        (plan.batch_sizes, saved.plan.batch_sizes),
        (plan.hosts, saved.plan.hosts),
    ]
    wide = all(set(asked) <= set(there) for asked, there in pairs)
    targets = not saved.plan.targets or (plan.targets and set(plan.targets) <= set(saved.plan.targets))
    of_these = saved.weights_sha256 == record.checkpoint.weights.sha256 and hashes <= present
    return bool(saved.finished and of_these and wide and targets)


def _resumable(subject: session.Subject, plan: BenchPlan) -> bool:
    """Tell whether an unfinished benchmark can go on: it is of this plan, these weights and this machine."""
    with contextlib.suppress(MnistBenchError):
        return session.resumable(InferenceBenchRecord, subject).plan == plan
    return False
