"""The same files on this machine's own processor and on emulated ones, which are checked before anything else counts.

As many processors at a time as there are cores, since nothing is timed; each is asked about all images where its share
of the time suffices, and else about a sample, which is named.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from mnist_bench import data, environment, hosts, runtimes, store
from mnist_bench.analysis.processors import same_bits, shows
from mnist_bench.core.errors import ModelRefused, RuntimeFailed, TargetUnavailable, Unreachable
from mnist_bench.core.events import Event, OnEvent, Verifying
from mnist_bench.core.types import (
    Absent,
    Beside,
    Configuration,
    Deviation,
    Emulated,
    FleetRecord,
    ParityResult,
    Record,
    Sample,
)
from mnist_bench.parity._asking import Answer, Plan, Workers, ask_all, configuration, saturation_of, unasked
from mnist_bench.parity._compare import Inputs
from mnist_bench.parity._foreign import targets_of_file
from mnist_bench.parity._inputs import build_inputs
from mnist_bench.parity._targets import Target, find_targets
from mnist_bench.parity._verify import Findings, parity_record, result, weights_of

WHOLE_S = 420.0
"""So long all processors together may be asked, starts and checks included: `verify --cpu all` is to take minutes."""

PILOT = 128
"""Images that are answered twice to see how fast an emulated processor is: the first time its code is translated."""

SAMPLES = (5_000, 2_000, 1_000, 500)
SEED = 0  # fixed: the same sample everywhere
BATCH_SIZES, THREADS = (128,), (1,)
PRECISIONS = ("int8-dynamic", "int8", "fp32")
"""What is asked, the fastest first, so that what it leaves of the time goes to the slowest."""

NO_FP16 = "how far its answers may differ depends on whether a processor computes in half precision"
REFUSED = "use another version of the emulator, or leave this processor out"

Key = tuple[str, str, int, int]
Logits = NDArray[np.float32]


@dataclass
class Visit:
    """What came of a processor."""

    processor: Emulated
    results: list[ParityResult] = field(default_factory=list)
    unreachable: list[Absent] = field(default_factory=list)


@dataclass(frozen=True)
class Fleet:
    """What all processors are asked, see `verify_fleet`.

    `native` are this machine's own answers, `share_s` is what one processor may take of the time.
    """

    inputs: Inputs
    plan: Plan
    native: Mapping[Key, Logits]
    share_s: float
    on_event: OnEvent


class Running:
    """The workers that run at a moment, in whichever thread, so that all can be ended together."""

    def __init__(self) -> None:
        self._lock, self._workers, self._over = threading.Lock(), set[hosts.Worker](), False

    def enter(self, worker: hosts.Worker) -> hosts.Worker:
        """Take in a worker that has just started."""
        with self._lock:
            self._workers.add(worker)
            if self._over:
                worker.kill()
        return worker

    def end(self) -> None:
        """Kill all of them, those to come too."""
        with self._lock:
            self._over = True
            for worker in self._workers:
                worker.kill()


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
        on_event: is called before each configuration, from several threads.
        model: a file from elsewhere, instead of the run's own.
        trusted: see `verify_file`.
        absent: the processors that cannot be used here, where all were asked for and none was named.

    Raises:
        BadInput: there is nothing to compare.
        RecordDamaged: a file differs from the manifest; no runtime has seen it.
        TargetUnavailable: a processor that was named cannot be used here.
        ModelRefused: a file from elsewhere is none that can be opened.
    """
    record, (weights, targets) = store.steady(
        folder, lambda record: (weights_of(folder, record), _targets(folder, record, plan, model, trusted))
    )
    inputs = build_inputs(dataset, weights)
    found = Findings(skipped=[*(absent or ()), *_left_out(targets)])
    targets = [target for target in targets if target.precision in PRECISIONS or hosts.answers_itself(target.host)]
    native = _native(targets, inputs, plan, found, on_event)
    lanes = min(environment.available_cores(), max(len(plan.on), 1))
    fleet = Fleet(inputs, plan, native, WHOLE_S * lanes / len(plan.on), _one_at_a_time(on_event))
    visits = _visits(fleet, targets, lanes)
    for visit in visits:
        _enter(visit, found, named=absent is None)
    base = parity_record(record, dataset, inputs, found, weights)
    shown = tuple(visit.processor for visit in visits)
    return FleetRecord(**{name: getattr(base, name) for name in base.__struct_fields__}, processors=shown)


def _targets(folder: Path, record: Record, plan: Plan, model: Path | None, trusted: bool) -> list[Target]:
    """Return what is asked: the same runtimes here and on every processor; programs on the processors alone."""
    programs = all(hosts.answers_itself(host) for host in plan.on)
    usual = hosts.load(plan.on[0].kind).RUNTIMES or ()
    names = () if programs else plan.runtimes or usual
    places = plan.on if programs else (hosts.HERE, *plan.on)
    wanted = replace(plan, on=places, runtimes=names)
    if model:
        return targets_of_file(model, folder, record, wanted, trusted=trusted)
    return find_targets(folder, record, wanted.wanted).ready


def _left_out(targets: Sequence[Target]) -> Iterator[Absent]:
    """Say which files are not compared by processor."""
    names = {t.name(): t for t in targets if t.precision not in PRECISIONS and t.host == hosts.HERE}
    for name, target in names.items():
        remedy = f"mnist-bench verify --host NAME asks {target.precision} too"
        yield Absent(target=f"{name} on other processors", reason=NO_FP16, remedy=remedy)


def _native(
    targets: Sequence[Target], inputs: Inputs, plan: Plan, found: Findings, on_event: OnEvent
) -> dict[Key, Logits]:
    """Let this machine's own processor answer everything first.

    Raises:
        MnistBenchError: it cannot: then nothing can be compared with it.
    """
    logits = {}
    with Workers(plan.limits) as workers:
        for target in targets:
            if target.host != hosts.HERE:
                continue
            for answer in ask_all(target, workers, inputs.images, plan, on_event):
                found.add(inputs, [answer])
                if answer.logits is not None:
                    logits[_key(answer.configuration)] = answer.logits
    return logits


def _key(one: Configuration) -> Key:
    return one.runtime, one.precision, one.threads, one.batch_size


def _one_at_a_time(on_event: OnEvent) -> OnEvent:
    lock = threading.Lock()

    def told(event: Event) -> None:
        with lock:
            on_event(event)

    return told


def _visits(fleet: Fleet, targets: Sequence[Target], lanes: int) -> list[Visit]:
    """Ask all processors, so many at a time; where one of them raises an error, or a signal comes, end all."""
    by_processor: dict[str, list[Target]] = {}
    for target in targets:
        if target.host != hosts.HERE:
            by_processor.setdefault(target.host.kind, []).append(target)
    running = Running()
    with ThreadPoolExecutor(lanes) as pool:
        try:
            pending = [pool.submit(_visit, fleet, name, of, running) for name, of in by_processor.items()]
            return [one.result() for one in pending]
        except BaseException:
            running.end()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _visit(fleet: Fleet, name: str, targets: Sequence[Target], running: Running) -> Visit:
    """Check a processor, and ask what is there about every target."""
    deadline = time.monotonic() + fleet.share_s
    shown = hosts.processor(name)
    visit = Visit(
        Emulated(name=name, emulator=shown.emulator(), model=shown.model, libraries=shown.libraries()),
    )
    try:
        with hosts.started(shown.launch(""), None, fleet.plan.limits) as worker:
            visit.processor = _proved(running.enter(worker), visit.processor)
            if not visit.processor.refusal:
                _ask_in_turn(fleet, visit, worker, targets, deadline, running)
    except (Unreachable, RuntimeFailed) as error:
        visit.processor = msgspec.structs.replace(visit.processor, refusal=f"it cannot be checked: {error}")
    return _without_refused(visit)


def _proved(worker: hosts.Worker, processor: Emulated) -> Emulated:
    """Add how a processor answers what is known; refuse it where anything is wrong."""
    features, checks = hosts.prove(worker)
    wrong = [f"{one.name}: {one.wrong} of {one.cases} wrong" for one in checks if one.wrong]
    refusal = f"known answers come out wrong ({'; '.join(wrong)})" if wrong else None
    return msgspec.structs.replace(processor, instructions=features, checks=checks, refusal=refusal)


def _ask_in_turn(
    fleet: Fleet, visit: Visit, worker: hosts.Worker, targets: Sequence[Target], deadline: float, running: Running
) -> None:
    """Ask one target after the other; one that cannot be asked, or refuses its file, leaves the others as they are."""
    ordered = sorted(targets, key=lambda one: PRECISIONS.index(one.precision) if one.precision in PRECISIONS else 0)
    for place, target in enumerate(ordered):
        try:
            left_s = (deadline - time.monotonic()) / (len(ordered) - place)
            if hosts.answers_itself(target.host):
                with hosts.started(target.launch, target.model, fleet.plan.limits) as program:
                    _ask(fleet, visit, running.enter(program), target, left_s)
            elif worker.alive:
                worker.restart_clock()
                _ask(fleet, visit, worker, target, left_s)
            else:
                with hosts.started(target.launch, None, fleet.plan.limits) as another:
                    _ask(fleet, visit, running.enter(another), target, left_s)
        except (Unreachable, TargetUnavailable) as error:
            remedy = "see what it says when it is run alone"
            visit.unreachable.append(Absent(target=target.name(), reason=str(error), remedy=remedy))
        except (RuntimeFailed, ModelRefused) as error:
            failed = Answer(unasked(target, fleet.plan), None, target.precision, str(error))
            visit.results.append(result(fleet.inputs, failed))


def _ask(fleet: Fleet, visit: Visit, worker: hosts.Worker, target: Target, left_s: float) -> None:
    """Ask a target about as many images as fit in the time, in every configuration."""
    began = time.monotonic()
    hello = worker.greet(target.asked)
    configurations = list(product(fleet.plan.threads, fleet.plan.batch_sizes))
    for place, (threads, batch_size) in enumerate(configurations):
        spec = runtimes.Spec("cpu", threads, target.precision)
        opened, effective = worker.open(target.model, spec), worker.inspect()
        size = target.model.batch or opened.batch or min(batch_size, len(fleet.inputs.images))
        asked = configuration(target, hello, spec, size, effective.provider)
        fleet.on_event(Verifying(asked))
        due_s = (left_s - (time.monotonic() - began)) / (len(configurations) - place)
        rows = _rows(fleet.inputs, _affordable(worker, fleet.inputs, size, due_s))
        images = fleet.inputs.images if rows is None else fleet.inputs.images[rows]
        logits = worker.run(images, size)
        answer = Answer(asked, logits, effective.precision, saturation=saturation_of(effective.pair_sums))
        visit.results.append(_compared(fleet, answer, rows))


def _affordable(worker: hosts.Worker, inputs: Inputs, size: int, due_s: float) -> int:
    """Return how many test images can be answered in so many seconds: all, or one of `SAMPLES`."""
    tests = len(inputs.labels)
    if tests <= SAMPLES[-1]:
        return tests
    pilot = inputs.images[:PILOT]
    for _ in range(2):
        began = time.monotonic()
        worker.run(pilot, min(size, PILOT))
        took_s = time.monotonic() - began
    images = PILOT * due_s / took_s
    return next((count for count in (tests, *SAMPLES) if count <= images and count <= tests), SAMPLES[-1])


def _rows(inputs: Inputs, count: int) -> NDArray[np.intp] | None:
    """Choose test images: half those of the smallest margins, half drawn; and all edge images. None for all."""
    tests = len(inputs.labels)
    if count >= tests:
        return None
    nearest = np.argsort(inputs.bounds.margins[:tests], kind="stable")[: count // 2]
    others = np.setdiff1d(np.arange(tests), nearest)
    drawn = np.random.default_rng(SEED).choice(others, count - len(nearest), replace=False)
    return np.concatenate([np.sort(np.concatenate([nearest, drawn])), np.arange(tests, len(inputs.images))])


def _compared(fleet: Fleet, answer: Answer, rows: NDArray[np.intp] | None) -> ParityResult:
    """Compare an answer with the reference, and with what this machine's own processor says."""
    inputs = fleet.inputs if rows is None else fleet.inputs.only(rows)
    compared = result(inputs, answer)
    native = fleet.native.get(_key(answer.configuration))
    if native is not None and compared.largest_difference is not None and answer.logits is not None:
        places = np.arange(len(native)) if rows is None else rows
        compared = msgspec.structs.replace(compared, native=_beside(answer.logits, native[places], places))
    if rows is None:
        return compared
    moved = tuple(Deviation(image=int(rows[one.image]), prediction=one.prediction) for one in compared.deviations)
    tests = tuple(int(row) for row in rows if row < len(fleet.inputs.labels))
    return msgspec.structs.replace(compared, deviations=moved, sample=Sample(seed=SEED, images=tests))


def _beside(logits: Logits, native: Logits, places: NDArray[np.intp]) -> Beside:
    """Compare logits (n, 10) with this machine's own on the same images, bit by bit."""
    same = (np.ascontiguousarray(logits).view(np.uint32) == np.ascontiguousarray(native).view(np.uint32)).all(1)
    flipped = np.flatnonzero(logits.argmax(1) != native.argmax(1))
    return Beside(
        images=len(logits),
        same_bits=int(same.sum()),
        flips=tuple(int(places[row]) for row in flipped),
        largest_difference=float(np.abs(logits.astype(np.float64) - native).max()),
    )


def _without_refused(visit: Visit) -> Visit:
    """Refuse a processor that has this machine's own instruction sets, and not its bits; drop what was refused."""
    own = shows(environment.collect(), visit.processor)
    different = [one.configuration.target for one in visit.results if same_bits(one) is False]
    if own and different:
        refusal = f"it has this machine's own instruction sets, and other bits in {different[0]}"
        visit.processor = msgspec.structs.replace(visit.processor, refusal=refusal)
    if visit.processor.refusal:
        visit.results, visit.unreachable = [], []
    return visit


def _enter(visit: Visit, found: Findings, *, named: bool) -> None:
    """Add what came of a processor; one that was refused is missing, and where it was named that is an error."""
    found.results += visit.results
    found.unreachable += visit.unreachable
    if refusal := visit.processor.refusal:
        absent = Absent(
            target=visit.processor.name, reason=f"{visit.processor.emulator} is refused: {refusal}", remedy=REFUSED
        )
        (found.unreachable if named else found.skipped).append(absent)
