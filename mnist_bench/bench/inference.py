"""Targets of inference: a run's weights and exported files in every runtime that is here, timed in fresh workers."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from mnist_bench import data, environment, hosts, parity, runtimes
from mnist_bench.bench.blocks import InvalidResult, Outcome, TargetUnderTest
from mnist_bench.core.bench_types import NULL, BenchPlan, Row, Sample
from mnist_bench.core.errors import BadInput, MnistBenchError, TargetUnavailable
from mnist_bench.core.types import RUNGS, Absent, Configuration, Record

UNCHECKED = "answers nothing"
ASK_S = 60  # to load an engine and say its name
# A process times as many images in each batch size, but no fewer calls than a 90th percentile needs (64 in two blocks).
MOST_CALLS, FEWEST_CALLS, IMAGES_A_PROCESS = 1_000, 60, 15_360


def calls_for(batch_size: int) -> int:
    """Return how many calls a process times: fixed in advance, 1,000 at batch 1 and 60 at 1,024."""
    return max(FEWEST_CALLS, min(MOST_CALLS, IMAGES_A_PROCESS // batch_size))


def evaluation_inputs(folder: Path, record: Record, dataset: data.Dataset) -> parity.Inputs:
    """Return what every process is asked: the images, with the reference's answers."""
    return parity.build_inputs(dataset, parity.reference_of(folder, record))


def targets_under_test(
    folder: Path,
    record: Record,
    plan: BenchPlan,
    names: Sequence[str],
    inputs: parity.Inputs,
    on: Sequence[hosts.Host] = (),
) -> tuple[list[TargetUnderTest], tuple[Absent, ...]]:
    """Return whom to measure, and what cannot be measured here.

    Args:
        folder: the run's folder.
        record: its record.
        plan: how to measure.
        names: runtimes; all that are here where there are none.
        inputs: see `evaluation_inputs`.
        on: the hosts; those of the plan, unless told.

    Raises:
        BadInput: there is nothing to measure, or a host on which times say nothing.
        RecordDamaged: a file differs from the manifest.
        TargetUnavailable: a runtime that was named cannot be used here.
    """
    places = _timed(tuple(on) or tuple(hosts.named(text) for text in plan.hosts))
    answering = tuple(name for name in names if name != NULL)
    asked = [host for host in places if answering or not names or hosts.answers_itself(host)]
    targets = parity.Targets()
    if asked:
        wanted = parity.Wanted(answering, plan.device, tuple(asked), plan.command_format, plan.command_precision)
        targets = parity.find_targets(folder, record, wanted)
    ready = list(targets.ready)
    if (NULL in names or not names) and plan.device == "cpu":
        ready += [_null(host) for host in places if hosts.load(host.kind).RUNTIMES is None]
    if not ready:
        raise BadInput(
            f"there is nothing to measure on {plan.device} in {folder}: name other runtimes, or export first"
        )
    return [_under_test(_named(target), plan, inputs) for target in ready], tuple(targets.skipped)


def _named(target: parity.Target) -> parity.Target:
    """Ask a program what it is called, as its rows will be; one that does not answer fails when it is measured."""
    if target.asked or target.runtime == NULL:
        return target
    with (
        contextlib.suppress(MnistBenchError),
        hosts.started(target.launch, target.model, hosts.Limits(ASK_S)) as worker,
    ):
        return dataclasses.replace(target, runtime=worker.greet("").runtime)
    return target


def _under_test(target: parity.Target, plan: BenchPlan, inputs: parity.Inputs) -> TargetUnderTest:
    return TargetUnderTest("", target.name(), Process(target, plan, inputs), target.precision, target.sha256)


def _timed(places: tuple[hosts.Host, ...]) -> tuple[hosts.Host, ...]:
    """Return hosts whose times say something; refuse others."""
    for host in places:
        if not hosts.load(host.kind).TIMED:
            raise BadInput(f"host {host.kind} is emulated, so its times mean nothing: verify on it, bench elsewhere")
    return places


def _null(host: hosts.Host) -> parity.Target:
    nothing = runtimes.Model({}, "", "fp32", "relu")
    return parity.Target(NULL, "fp32", nothing, host, hosts.launch(host), None, None)


@dataclass(frozen=True)
class Process:
    """Measures one target in a fresh worker: all threads and batch sizes of the plan."""

    target: parity.Target
    plan: BenchPlan
    inputs: parity.Inputs

    def __call__(self, block: int, position: int) -> Outcome:
        """See `Measurement`; the threads take turns in being first."""
        turn = block % len(self.plan.threads)
        threads = [*self.plan.threads[turn:], *self.plan.threads[:turn]]
        limits = hosts.Limits(self.plan.time_limit_s, parity.memory_limit(self.plan.device))
        with hosts.started(self.target.launch, self.target.model, limits) as worker:
            hello = worker.greet(self.target.asked, self.plan.device)
            outcomes = [
                outcome
                for count in threads
                for outcome in self._session(worker, hello, count, block, position, first=count == threads[0])
            ]
        return Outcome.of(outcomes)

    def _session(
        self, worker: hosts.Worker, hello: hosts.Hello, threads: int, block: int, position: int, *, first: bool
    ) -> Iterator[Row | InvalidResult]:
        """Open a session and measure it with each batch size; how it runs is asked last, since asking costs memory."""
        spec = runtimes.Spec(self.plan.device, threads, self.target.precision)
        opened = worker.open(self.target.model, spec)
        fixed = self.target.model.batch or opened.batch
        sizes = [size for size in sorted(self.plan.batch_sizes) if fixed in (None, size)]
        if not sizes:
            raise TargetUnavailable(f"it takes batches of {fixed} alone, and none of that size is to be measured")
        timings = {size: self._timing(size, block) for size in sizes}
        timed = {size: worker.time(self.inputs.images, timing) for size, timing in timings.items()}
        effective = worker.inspect()
        for size, found in timed.items():
            sample = _sample(found, block, position, size, first)
            if size == sizes[0]:
                sample = replace(sample, import_s=hello.import_s if first else None, load_s=opened.load_s)
            own = parity.configuration(self.target, hello, spec, size, effective.provider)
            yield self._judged(own, found, effective.precision, sample)

    def _timing(self, size: int, block: int) -> hosts.Timing:
        """Say how to time a batch size: in the first block all images are answered, later those that are timed."""
        if self.target.runtime == NULL:
            answers = 0
        else:
            images = len(self.inputs.images)
            answers = images if block == 0 else min(images, calls_for(size) * size)
        return hosts.Timing(
            batch_size=size,
            calls=calls_for(size),
            warm_up_calls=self.plan.warm_up_calls,
            warm_up_s=self.plan.warm_up_s / len(self.plan.threads) / len(self.plan.batch_sizes),
            answers=answers,
        )

    def _judged(self, own: Configuration, found: hosts.Timed, precision: str, sample: Sample) -> Row | InvalidResult:
        """Make a row of one sample; or say what is wrong with the answers."""
        checked, deviations = UNCHECKED, 0
        if found.logits is not None:
            inputs = self.inputs.given_by(self.target.signature).first(len(found.logits) if found.logits.ndim else 0)
            result = parity.result(self.target, inputs, parity.Answer(own, found.logits, precision))
            if result.failures:
                return InvalidResult(own.threads, own.batch_size, f"wrong answers: {'; '.join(result.failures)}")
            checked, deviations = RUNGS[result.rung], len(result.deviations)
        return Row(
            kind="null" if self.target.runtime == NULL else "inference",
            configuration=own,
            size_bytes=self.target.size_bytes,
            skips_zeros=bool(self.target.asked) and runtimes.skips_zeros(self.target.runtime),
            installed_bytes=_installed_bytes(self.target),
            checked=checked,
            deviations=deviations,
            samples=(sample,),
        )


def _installed_bytes(target: parity.Target) -> int | None:
    """Return what a target's libraries take on disk where it runs; None where that is not known."""
    if not target.asked or target.runtime == NULL:
        return None
    if own := getattr(hosts.load(target.host.kind), "installed_bytes", None):
        on_host: int | None = own(target.runtime)
        return on_host
    wanted = runtimes.wants(target.runtime)
    return None if wanted is None else environment.installed_bytes(*wanted)


def _sample(found: hosts.Timed, block: int, position: int, size: int, first: bool) -> Sample:
    """Make a sample of what was timed in a process's first session, or in a later one."""
    return Sample(
        block=block,
        position=position,
        import_s=None,
        load_s=None,
        first_call_s=found.first_call_s,
        warm_up_calls=found.warm_up_calls,
        warm_up_s=found.warm_up_s,
        images=size,
        times_s=found.times_s,
        # What a process had resident before would show in every session after its first.
        peak_resident_bytes=found.peak_resident_bytes if first else None,
        peak_device_bytes=found.peak_device_bytes if first else None,
    )
