"""Contenders of training: the engines, on a run's data and by its protocol."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from mnist_bench import environment, training
from mnist_bench.bench._messages import LossRequest, TimedEngine, TimedProcess, TimingRequest
from mnist_bench.bench.blocks import InvalidResult, Outcome, TargetUnderTest
from mnist_bench.core import child
from mnist_bench.core.bench_types import LOSS_TOLERANCE, REFERENCE_ENGINE, BenchPlan, Row, Sample
from mnist_bench.core.errors import EnvironmentProblem
from mnist_bench.core.types import Configuration, Record, TrainConfig


def targets_under_test(
    record: Record, plan: BenchPlan, names: Sequence[str], data_dir: Path | None
) -> list[TargetUnderTest]:
    """Return whom to measure: all engines where `names` is empty; the reference engine sets the loss to come to.

    Raises:
        BadInput: there is no such engine.
        ChildFailed: the reference engine fails.
    """
    for name in names:
        training.usable_engine(name, plan.device)
    config = replace(record.config, device=plan.device, threads=max(plan.threads))
    losses = child.call(
        "mnist_bench.bench.trainer:epoch_losses",
        LossRequest(
            config=replace(config, engine=REFERENCE_ENGINE), data_dir=_path(data_dir), batch_sizes=plan.batch_sizes
        ),
        tuple[float, ...],
        time_limit_s=plan.time_limit_s,
        died_exit_code=EnvironmentProblem.exit_code,
    )
    expected = dict(zip(plan.batch_sizes, losses, strict=True))
    return [
        TargetUnderTest(
            "",
            name,
            Process(replace(config, engine=name), plan, data_dir, expected),
            training.usable_engine(name, plan.device).PRECISION,
        )
        for name in names or training.engines_for(plan.device)
    ]


@dataclass(frozen=True)
class Process:
    """Measures one engine in a fresh process: all threads and batch sizes of the plan.

    `expected` is the reference engine's mean loss over the first epoch, by batch size.
    """

    config: TrainConfig
    plan: BenchPlan
    data_dir: Path | None
    expected: dict[int, float]

    def __call__(self, block: int, position: int) -> Outcome:
        """See `Measurement`; the threads take turns in being first."""
        turn = block % len(self.plan.threads)
        wanted = TimingRequest(
            config=self.config,
            data_dir=_path(self.data_dir),
            threads=self.plan.threads[turn:] + self.plan.threads[:turn],
            batch_sizes=tuple(sorted(self.plan.batch_sizes)),
            warm_up_calls=self.plan.warm_up_calls,
            warm_up_s=self.plan.warm_up_s,
        )
        found = child.call(
            "mnist_bench.bench.trainer:measure",
            wanted,
            TimedProcess,
            time_limit_s=self.plan.time_limit_s,
            memory_limit_bytes=environment.free_memory_bytes() if self.plan.device == "cpu" else None,
            died_exit_code=EnvironmentProblem.exit_code,
        )
        return Outcome.of([self._outcome(found, session, block, position) for session in found.sessions])

    def _outcome(self, found: TimedProcess, session: TimedEngine, block: int, position: int) -> Row | InvalidResult:
        expected, loss = self.expected[session.batch_size], session.loss
        if loss is None or not math.isclose(loss, expected, rel_tol=LOSS_TOLERANCE):
            reason = (
                f"it trains something else: loss {math.nan if loss is None else loss:.4f} over the first epoch, "
                f"{expected:.4f} with the reference"
            )
            return InvalidResult(session.threads, session.batch_size, reason)
        configuration = Configuration(
            runtime=self.config.engine,
            version=found.version,
            format="",
            precision=training.usable_engine(self.config.engine, self.plan.device).PRECISION,
            device=self.plan.device,
            provider=f"torch {self.plan.device}",
            threads=session.threads,
            batch_size=session.batch_size,
        )
        sample = Sample(
            block=block,
            position=position,
            import_s=found.import_s if session is found.sessions[0] else None,
            load_s=session.load_s,
            images=session.images,
            times_s=session.times_s,
            first_call_s=session.first_call_s,
            warm_up_calls=session.warm_up_calls,
            warm_up_s=session.warm_up_s,
            peak_resident_bytes=session.peak_resident_bytes,
            peak_device_bytes=session.peak_device_bytes,
        )
        checked = f"loss within {LOSS_TOLERANCE:.0%} of {REFERENCE_ENGINE}'s"
        return Row(
            kind="training",
            configuration=configuration,
            checked=checked,
            skips_zeros=training.skips_zeros(self.config.engine),
            samples=(sample,),
        )


def _path(data_dir: Path | None) -> str | None:
    return str(data_dir.resolve()) if data_dir else None
