"""Asking targets, one after the other, in every configuration."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench import environment, hosts, runtimes
from mnist_bench.core import protocol
from mnist_bench.core.errors import RuntimeFailed, Unreachable
from mnist_bench.core.events import OnEvent, Verifying
from mnist_bench.core.kinds import Precision
from mnist_bench.core.types import Configuration, Saturation
from mnist_bench.parity._assuming import NOTHING, Assumption
from mnist_bench.parity._targets import Target, Wanted

TIME_LIMIT_S, FOREIGN_TIME_LIMIT_S = 600.0, 120.0
FOREIGN_MEMORY_LIMIT_BYTES = 4 * 1024**3  # torch alone takes one; a file of this network needs megabytes


@dataclass(frozen=True)
class Plan:
    """What to verify, in which configurations; see `Wanted`.

    `layers`: whether to look at layers too. `assumption` is what is taken for granted of all models. `time_limit_s` is
    what a worker may take in all, `memory_limit_bytes` what it may allocate; None is what suits a run's own file, or a
    foreign one.
    """

    runtimes: tuple[str, ...] = ()
    batch_sizes: tuple[int, ...] = (1, 7, 128, 10_000)
    threads: tuple[int, ...] = (1,)
    device: str = "cpu"
    on: tuple[hosts.Host, ...] = (hosts.HERE,)
    format: str = "onnx"
    precision: Precision | None = None
    output: str = ""
    time_limit_s: float | None = None
    memory_limit_bytes: int | None = None
    layers: bool = False
    assumption: Assumption = NOTHING

    @property
    def limits(self) -> hosts.Limits:
        """The limits for a run's own files."""
        return hosts.Limits(self.time_limit_s or TIME_LIMIT_S, self.memory_limit_bytes or memory_limit(self.device))

    @property
    def foreign_limits(self) -> hosts.Limits:
        """The limits for a file that nobody vouches for."""
        time_s = self.time_limit_s or FOREIGN_TIME_LIMIT_S
        return hosts.Limits(time_s, self.memory_limit_bytes or FOREIGN_MEMORY_LIMIT_BYTES)

    @property
    def wanted(self) -> Wanted:
        """What to look for."""
        return Wanted(self.runtimes, self.device, self.on, self.format, self.precision or "fp32")


@dataclass(frozen=True)
class Answer:
    """What a target said in one configuration: logits (n, 10), or why it failed; `precision` is the effective one.

    `shows` tells whether it can show its layers.
    """

    configuration: Configuration
    logits: NDArray[Any] | None
    precision: str
    failure: str | None = None
    saturation: Saturation | None = None
    arithmetic: str | None = None
    shows: bool = False


class Workers:
    """The workers of a verification: one for each library and host, asked about one target after the other.

    Importing torch takes seconds, and what compiles imports as much again: so the five runtimes of torch share one
    process, in which they hold a session one after the other. A worker that fails is not asked again: the next target
    gets a new one. What is timed, and what nobody vouches for, has a process of its own instead.
    """

    def __init__(self, limits: hosts.Limits, *, shared: bool = True) -> None:
        self._limits, self._shared = limits, shared
        self._kept: dict[tuple[hosts.Host, str], tuple[hosts.Worker, contextlib.ExitStack]] = {}

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        while self._kept:
            self._kept.popitem()[1][1].close()

    @contextlib.contextmanager
    def asked(self, target: Target) -> Iterator[hosts.Worker]:
        """Give the worker that answers for a target, with all of its time ahead."""
        if not self._shared or hosts.answers_itself(target.host):
            with hosts.started(target.launch, target.model, self._limits) as worker:
                yield worker
            return
        worker = self._worker(key := (target.host, runtimes.load(target.runtime).LIBRARY), target)
        worker.restart_clock()
        try:
            yield worker
        except BaseException:
            self._kept.pop(key)[1].close()
            raise
        worker.stop_clock()  # others are asked meanwhile

    def _worker(self, key: tuple[hosts.Host, str], target: Target) -> hosts.Worker:
        """Return the worker that is kept for a library, or a new one where there is none or it has ended."""
        if key in self._kept and not self._kept[key][0].alive:
            self._kept.pop(key)[1].close()
        if key not in self._kept:
            stack = contextlib.ExitStack()
            self._kept[key] = stack.enter_context(hosts.started(target.launch, None, self._limits)), stack
        return self._kept[key][0]


def ask_all(
    target: Target, workers: Workers, groups: Sequence[NDArray[np.float32]], plan: Plan, on_event: OnEvent
) -> Iterator[Answer]:
    """Ask a target about all images with every number of threads and every batch size; a failure is an answer too.

    No batch holds images of two groups: what quantises by range answers an image as its batch has it.

    Raises:
        Unreachable: it cannot be asked.
        TargetUnavailable: it cannot be used on the plan's device.
        ModelRefused: the file is not what it should be.
    """
    with workers.asked(target) as worker:
        try:
            hello = worker.greet(target.asked, plan.device)
        except RuntimeFailed as error:
            yield Answer(unasked(target, plan), None, target.precision, str(error))
            return
        for threads in plan.threads:
            spec = runtimes.Spec(plan.device, threads, target.precision)
            asked = configuration(target, hello, spec, plan.batch_sizes[0], "none")
            try:
                opened, effective = worker.open(target.model, spec), worker.inspect()
                for batch_size in _batch_sizes(target.model.batch or opened.batch, plan, groups):
                    asked = configuration(target, hello, spec, batch_size, effective.provider)
                    on_event(Verifying(asked))
                    yield answer_to(worker, groups, asked, effective, shows=opened.layers)
            except RuntimeFailed as error:
                yield Answer(asked, None, target.precision, str(error))


def answer_to(
    worker: hosts.Worker,
    groups: Sequence[NDArray[np.float32]],
    asked: Configuration,
    effective: hosts.Inspected,
    *,
    shows: bool = False,
) -> Answer:
    """Ask an opened session about groups of images, each in batches of its own; raises as `ask_all` does."""
    saturation = _saturation(effective.pair_sums)
    # What it has got already comes first: images are sent half as often.
    order = sorted(range(len(groups)), key=lambda place: not worker.has(groups[place]))
    answers = {place: worker.run(groups[place], asked.batch_size) for place in order}
    logits = _joined([answers[place] for place in range(len(groups))])
    return Answer(asked, logits, effective.precision, None, saturation, effective.arithmetic, shows)


def _saturation(sums: hosts.Sums | None) -> Saturation | None:
    """Judge what a worker says of its sums; raises Unreachable where that contradicts itself."""
    try:
        return Saturation.of(sums.largest, sums.beyond, sums.pairs) if sums else None
    except ValueError as error:
        raise Unreachable(f"its answer 'inspected' has {error}") from error


def unasked(target: Target, plan: Plan) -> Configuration:
    """Describe the first configuration of a target that did not come so far as to say who it is."""
    nobody = hosts.Hello(protocol=protocol.VERSION, runtime=target.runtime)
    spec = runtimes.Spec(plan.device, plan.threads[0], target.precision)
    return configuration(target, nobody, spec, plan.batch_sizes[0], "none")


def _batch_sizes(fixed: int | None, plan: Plan, groups: Sequence[NDArray[np.float32]]) -> tuple[int, ...]:
    most = max(len(group) for group in groups)
    return (fixed,) if fixed else tuple(dict.fromkeys(min(size, most) for size in plan.batch_sizes))


def _joined(answers: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Put the answers to groups together; where their shapes do not fit, the first is wrong enough to be told."""
    shapes = {(answer.dtype, answer.shape[1:]) for answer in answers}
    return np.concatenate(answers) if len(shapes) == 1 and answers[0].ndim else answers[0]


def memory_limit(device: str) -> int | None:
    """Return how much memory a worker may take, in bytes: what is free; unlimited for CUDA."""
    return environment.free_memory_bytes() if device == "cpu" else None


def configuration(
    target: Target, hello: hosts.Hello, spec: runtimes.Spec, batch_size: int, provider: str
) -> Configuration:
    """Describe a configuration that was run; version and provider are what was read back."""
    return Configuration(
        runtime=hello.runtime,
        version=hello.version,
        format=target.model.format,
        precision=target.precision,
        device=spec.device,
        provider=provider,
        threads=spec.threads,
        batch_size=batch_size,
        host=target.launch.label,
        processor=target.launch.processor,
    )
