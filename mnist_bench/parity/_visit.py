"""One emulated processor: its check first, and then what it answers, beside this machine's own answers."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import msgspec
import numpy as np
from numpy.typing import NDArray

from mnist_bench import environment, hosts, runtimes
from mnist_bench.analysis.processors import same_bits, shows
from mnist_bench.core.errors import ModelRefused, RuntimeFailed, TargetUnavailable, Unreachable
from mnist_bench.core.events import OnEvent, Verifying
from mnist_bench.core.types import Absent, Beside, Configuration, Deviation, Emulated, ParityResult, Sample
from mnist_bench.parity._asking import Answer, Plan, answer_to, configuration, unasked
from mnist_bench.parity._compare import Inputs, equal_bits
from mnist_bench.parity._sample import SEED, affordable, rows
from mnist_bench.parity._targets import Target
from mnist_bench.parity._verify import Findings, result

PRECISIONS = ("int8-dynamic", "int8", "fp16", "fp32")
"""What is asked, the fastest first, so that what it leaves of the time goes to the slowest."""

LEAST_S = 120.0
"""However little time there is: an emulator that takes longer for a check, or for a sample, hangs."""

REMEDY = "see what it says when it is run alone"

Key = tuple[str, str, int, int, int]
"""Runtime, precision, threads, batch size, and how many images were asked together."""
Logits = NDArray[np.float32]


@dataclass
class Visit:
    """What came of a processor."""

    processor: Emulated
    results: list[ParityResult] = field(default_factory=list)
    unreachable: list[Absent] = field(default_factory=list)


@dataclass(frozen=True)
class Questions:
    """What all processors are asked, see `verify_fleet`; `native` are this machine's own answers."""

    found: Findings
    plan: Plan
    limits: hosts.Limits
    native: Mapping[Key, Logits]
    on_event: OnEvent

    @property
    def inputs(self) -> Inputs:
        """The images, and what is known of them."""
        return self.found.inputs


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

    def leave(self, worker: hosts.Worker) -> None:
        """Let go of a worker that is about to end: its process's number may soon be another's."""
        with self._lock:
            self._workers.discard(worker)

    def end(self) -> None:
        """Kill all of them, those to come too."""
        with self._lock:
            self._over = True
            for worker in self._workers:
                worker.kill()


def key(one: Configuration, images: int) -> Key:
    """Return by what answers of two processors belong together; a scale of int8-dynamic is that of a whole batch."""
    return one.runtime, one.precision, one.threads, one.batch_size, images


def visited(questions: Questions, name: str, targets: Sequence[Target], share_s: float, running: Running) -> Visit:
    """Check a processor, and ask what is there about every target, in about so many seconds."""
    deadline = time.monotonic() + share_s
    shown = hosts.processor(name)
    known = Emulated(name=name, emulator=shown.emulator(), model=shown.model, libraries=shown.libraries())
    asking = _Asking(questions, Visit(known), running, questions.plan.time_limit_s or max(share_s, LEAST_S))
    try:
        with asking.started(shown.launch(""), None) as worker:
            asking.visit.processor = _proved(worker, known, shown)
            if not asking.visit.processor.refusal:
                asking.ask_in_turn(worker, targets, deadline)
    except (Unreachable, RuntimeFailed) as error:
        asking.visit.processor = msgspec.structs.replace(known, refusal=f"it cannot be checked: {error}")
    return _without_refused(asking.visit)


@dataclass(frozen=True)
class _Asking:
    """Asks one processor; a worker may take `time_s` for each target."""

    questions: Questions
    visit: Visit
    running: Running
    time_s: float

    @contextlib.contextmanager
    def started(self, launch: hosts.Launch, model: runtimes.Model | None) -> Iterator[hosts.Worker]:
        """Start a worker, which can be ended from another thread while this lasts."""
        limits = hosts.Limits(self.time_s, self.questions.limits.memory_bytes)
        with hosts.started(launch, model, limits) as worker:
            self.running.enter(worker)
            try:
                yield worker
            finally:
                self.running.leave(worker)

    def ask_in_turn(self, worker: hosts.Worker, targets: Sequence[Target], deadline: float) -> None:
        """Ask one target after the other; one that cannot be asked, or refuses its file, harms no other."""
        ordered = sorted(targets, key=lambda one: PRECISIONS.index(one.precision) if one.precision in PRECISIONS else 0)
        for place, target in enumerate(ordered):
            due_s = (deadline - time.monotonic()) / (len(ordered) - place)
            try:
                if worker.alive and not hosts.answers_itself(target.host):
                    worker.restart_clock()
                    self.ask(worker, target, due_s)
                else:  # a program, or the worker fell with the target before
                    with self.started(target.launch, target.model) as own:
                        self.ask(own, target, due_s)
            except (Unreachable, TargetUnavailable) as error:
                lost = Absent(target=target.name(), reason=str(error), remedy=REMEDY)
                self.visit.unreachable.append(lost)
            except (RuntimeFailed, ModelRefused) as error:
                failed = Answer(unasked(target, self.questions.plan), None, target.precision, str(error))
                self.visit.results.append(result(target, self.questions.found.inputs_of(target), failed))

    def ask(self, worker: hosts.Worker, target: Target, due_s: float) -> None:
        """Ask a target about as many images as fit in the time, in every configuration."""
        inputs, plan = self.questions.inputs, self.questions.plan
        ends_at = time.monotonic() + due_s
        hello = worker.greet(target.asked)
        pairs = list(product(plan.threads, plan.batch_sizes))
        for place, (threads, batch_size) in enumerate(pairs):
            spec = runtimes.Spec("cpu", threads, target.precision)
            opened, effective = worker.open(target.model, spec), worker.inspect()
            fixed, left_s = target.model.batch or opened.batch, (ends_at - time.monotonic()) / (len(pairs) - place)
            chosen = rows(inputs, affordable(worker, inputs, fixed or batch_size, left_s))
            groups = inputs.only(chosen).groups
            size = fixed or min(batch_size, max(map(len, groups)))
            asked = configuration(target, hello, spec, size, effective.provider)
            self.questions.on_event(Verifying(asked))
            answer = answer_to(worker, groups, asked, effective)
            self.visit.results.append(_compared(self.questions, target, answer, chosen))


def _compared(questions: Questions, target: Target, answer: Answer, chosen: NDArray[np.intp]) -> ParityResult:
    """Compare an answer with the reference, and with what this machine's own processor says of the same images."""
    inputs = questions.found.inputs_of(target)
    everything = len(chosen) == len(inputs.images)
    proved = questions.found.certificates.bounds(target, answer.configuration.batch_size)
    quantised = proved.only(chosen) if proved else None
    found = result(target, inputs if everything else inputs.only(chosen), answer, quantised)
    native = questions.native.get(key(answer.configuration, len(chosen)))
    if native is not None and found.largest_difference is not None and answer.logits is not None:
        found = msgspec.structs.replace(found, native=_beside(answer.logits, native, chosen))
    if everything:
        return found
    moved = tuple(Deviation(image=int(chosen[one.image]), prediction=one.prediction) for one in found.deviations)
    tests = tuple(int(row) for row in chosen if row < len(inputs.labels))
    return msgspec.structs.replace(found, deviations=moved, sample=Sample(seed=SEED, images=tests))


def _beside(logits: Logits, native: Logits, chosen: NDArray[np.intp]) -> Beside:
    """Compare logits (n, 10) with this machine's own on the same images, bit by bit."""
    flipped = np.flatnonzero(logits.argmax(1) != native.argmax(1))
    return Beside(
        images=len(logits),
        same_bits=int(equal_bits(logits, native).sum()),
        flips=tuple(int(chosen[row]) for row in flipped),
        largest_difference=float(np.abs(logits.astype(np.float64) - native).max()),
    )


def _proved(worker: hosts.Worker, processor: Emulated, shown: hosts.Processor) -> Emulated:
    """Add how a processor answers what is known; refuse it where anything is wrong, or it is another one."""
    features, checks = hosts.prove(worker)
    refusal = shown.why_refused(features, checks)
    return msgspec.structs.replace(processor, instructions=features, checks=checks, refusal=refusal)


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
