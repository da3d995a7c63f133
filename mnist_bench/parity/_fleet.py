"""The same files on this machine's own processor and on emulated ones, which are checked before anything else counts.

As many processors at a time as there are cores, since nothing is timed; each is asked about all images where its share
of the time suffices, and else about a sample, which is named.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from mnist_bench import data, environment, hosts, store
from mnist_bench.core.errors import TargetUnavailable
from mnist_bench.core.events import Event, OnEvent
from mnist_bench.core.types import Absent, FleetRecord, Record
from mnist_bench.parity._asking import Plan, Workers, ask_all
from mnist_bench.parity._foreign import targets_of_file
from mnist_bench.parity._inputs import build_inputs
from mnist_bench.parity._network import reference_of
from mnist_bench.parity._sample import counts, rows
from mnist_bench.parity._targets import Target, find_targets
from mnist_bench.parity._verify import Findings, parity_record
from mnist_bench.parity._visit import PRECISIONS, Key, Logits, Questions, Running, Visit, key, visited

WHOLE_S = 480.0
"""So long all processors together may be asked, starts and checks included: `verify --cpu all` is to take minutes."""

BATCH_SIZES, THREADS = (128,), (1,)
REFUSED = "use another version of the emulator, or leave this processor out"


def usable() -> tuple[tuple[hosts.Host, ...], list[Absent]]:
    """Return the emulated processors that can be used here, and why the others cannot.

    Raises:
        TargetUnavailable: none can.
    """
    ready, skipped = [], []
    for name in hosts.processors():
        if missing := hosts.load(name).why_unavailable():
            skipped.append(Absent(target=name, reason=missing.reason, remedy=missing.remedy))
        else:
            ready.append(hosts.Host(name))
    if not ready:
        raise TargetUnavailable(f"no processor can be emulated here: {skipped[0].reason}; {skipped[0].remedy}")
    return tuple(ready), skipped


def verify_fleet(
    folder: Path,
    dataset: data.Dataset,
    plan: Plan,
    on_event: OnEvent,
    *,
    model: Path | None = None,
    trusted: bool = False,
    absent: Sequence[Absent] | None = None,
) -> FleetRecord:
    """Compare a run's files on emulated processors with the float64 reference, and with this machine's own answers.

    Args:
        folder: the run's folder; it must hold a checkpoint.
        dataset: the images.
        plan: which processors, in `on`, and in which configurations.
        on_event: is called before each configuration, from several threads, one at a time.
        model: a file from elsewhere, instead of the run's own.
        trusted: see `verify_file`.
        absent: the processors that cannot be used here, where all were asked for and none was named.

    Raises:
        BadInput: there is nothing to compare.
        RecordDamaged: a file differs from the manifest; no runtime has seen it.
        TargetUnavailable: a processor that was named cannot be used here.
        ModelRefused: a file from elsewhere is none that can be opened.
        Unreachable: this machine's own processor could not be asked.
    """
    record, (reference, there) = store.steady(
        folder, lambda record: (reference_of(folder, record), _targets(folder, record, plan, model, trusted))
    )
    targets = [one for one in there if one.precision in PRECISIONS or hosts.answers_itself(one.host)]
    signature = there[0].signature if model else record.signature
    found = Findings(build_inputs(dataset, reference, signature=signature), skipped=list(absent or ()))
    limits = plan.foreign_limits if model else plan.limits
    native = _native(targets, plan, Workers(limits, shared=model is None), found, on_event)
    visits = _visits(Questions(found, plan, limits, native, _one_at_a_time(on_event)), targets)
    _enter(visits, found, named=absent is None)
    base = parity_record(record, dataset, found, reference, signature)
    return FleetRecord.of(base, tuple(visit.processor for visit in visits))


def _targets(folder: Path, record: Record, plan: Plan, model: Path | None, trusted: bool) -> list[Target]:
    """Return what is asked: the same runtimes here and on every processor; programs on the processors alone."""
    programs = all(hosts.answers_itself(host) for host in plan.on)
    names = () if programs else plan.runtimes or hosts.load(plan.on[0].kind).RUNTIMES or ()
    wanted = replace(plan, on=plan.on if programs else (hosts.HERE, *plan.on), runtimes=names)
    if model:
        return targets_of_file(model, folder, record, wanted, trusted=trusted)
    return find_targets(folder, record, wanted.wanted).ready


def _native(
    targets: Sequence[Target], plan: Plan, workers: Workers, found: Findings, on_event: OnEvent
) -> dict[Key, Logits]:
    """Let this machine's own processor answer everything first, and every sample that may be asked.

    A sample's answers are not some of those to all images: int8-dynamic has one scale for all images of a batch.
    """
    logits, inputs = {}, found.inputs
    with workers:
        for target in targets:
            if target.host != hosts.HERE:
                continue
            for count in counts(len(inputs.labels)):
                chosen = rows(inputs, count)
                everything = len(chosen) == len(inputs.images)
                told = on_event if everything else lambda _: None
                for answer in ask_all(target, workers, inputs.only(chosen).groups, plan, told):
                    if everything:
                        found.add(target, [answer])
                    if answer.logits is not None:
                        logits[key(answer.configuration, len(chosen))] = answer.logits
    return logits


def _one_at_a_time(on_event: OnEvent) -> OnEvent:
    lock = threading.Lock()

    def told(event: Event) -> None:
        with lock:
            on_event(event)

    return told


def _visits(questions: Questions, targets: Sequence[Target]) -> list[Visit]:
    """Ask all processors, as many at a time as cores; where one raises an error, or a signal comes, end all."""
    by_processor: dict[str, list[Target]] = {}
    for target in targets:
        if target.host != hosts.HERE:
            by_processor.setdefault(target.host.kind, []).append(target)
    lanes = min(environment.available_cores(), len(by_processor))
    ends_at, running, waiting = time.monotonic() + WHOLE_S, Running(), list(by_processor)

    def visit(name: str) -> Visit:
        # Those that are being asked have their share: what is left is for this one and those that wait.
        share_s = (ends_at - time.monotonic()) * lanes / (len(waiting) + lanes - 1)
        waiting.remove(name)
        return visited(questions, name, by_processor[name], share_s, running)

    with ThreadPoolExecutor(lanes) as pool:
        try:
            pending = [pool.submit(visit, name) for name in by_processor]
            return [one.result() for one in pending]
        except BaseException:
            running.end()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _enter(visits: Sequence[Visit], found: Findings, *, named: bool) -> None:
    """Add what came of the processors; one that was refused is missing, and where it was named that is an error."""
    for visit in visits:
        found.results += visit.results
        found.unreachable += visit.unreachable
        if refusal := visit.processor.refusal:
            reason = f"{visit.processor.emulator} is refused: {refusal}"
            absent = Absent(target=visit.processor.name, reason=reason, remedy=REFUSED)
            (found.unreachable if named else found.skipped).append(absent)
