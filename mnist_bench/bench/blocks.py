"""Blocks: each runs every target once, in a fresh process, in an order drawn from the recorded seed."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from msgspec.structs import replace

from mnist_bench import environment
from mnist_bench.core.bench_types import BenchRecord, Block, Failure, Row
from mnist_bench.core.errors import MnistBenchError
from mnist_bench.core.events import Measuring, OnEvent
from mnist_bench.core.kinds import Precision

R = TypeVar("R", bound=BenchRecord)


@dataclass(frozen=True)
class InvalidResult:
    """A configuration that was not to be timed, and why."""

    threads: int
    batch_size: int
    reason: str


@dataclass(frozen=True)
class Outcome:
    """What one process gave: rows of one sample each, and the configurations that were not to be timed."""

    rows: Sequence[Row]
    wrong: Sequence[InvalidResult] = ()

    @classmethod
    def of(cls, found: Sequence[Row | InvalidResult]) -> "Outcome":
        """Tell the rows from what was wrong."""
        return cls(
            [one for one in found if isinstance(one, Row)], [one for one in found if isinstance(one, InvalidResult)]
        )


class Measurement(Protocol):
    """Starts a process and waits for it."""

    def __call__(self, block: int, position: int) -> Outcome:
        """Measure once; raises an error of ours where the process hung, died or ran out of memory."""
        ...


@dataclass(frozen=True)
class TargetUnderTest:
    """Something to measure, once a block: on which side of a comparison, what, how.

    `precision` is what it computes in, `sha256` that of its file.
    """

    side: str
    name: str
    measure: Measurement
    precision: Precision = "fp32"
    sha256: str | None = None

    @property
    def label(self) -> str:
        """The name by which the order is recorded."""
        return f"{self.side}: {self.name}" if self.side else self.name


@dataclass
class _Found:
    """The rows so far, by side and configuration, and the failures."""

    rows: dict[tuple[str, object], Row] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Add a row of one sample to those of its side and configuration."""
        key = (row.side, row.configuration)
        before = self.rows.get(key)
        if before is not None:
            row = replace(before, samples=before.samples + row.samples)
        self.rows[key] = row

    def fail(
        self,
        target: TargetUnderTest,
        block: int,
        reason: str,
        threads: int | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Note that a target, or one configuration of it, could not be measured."""
        failure = Failure(
            side=target.side,
            target=target.name,
            threads=threads,
            batch_size=batch_size,
            block=block,
            reason=reason,
        )
        self.failures.append(failure)

    def left_out(self, target: TargetUnderTest) -> set[tuple[int | None, int | None] | None]:
        """Return the (threads, batch size) of a target that are measured no more; None stands for all of it."""
        own = [one for one in self.failures if (one.side, one.target) == (target.side, target.name)]
        return {None if one.threads is None else (one.threads, one.batch_size) for one in own}


def measure_blocks(record: R, targets: Sequence[TargetUnderTest], on_event: OnEvent, save: Callable[[R], object]) -> R:
    """Run the blocks that a record still lacks, and save it after each.

    A target whose process fails is not tried again, and a configuration with wrong answers is left out. What a block
    measured before it was interrupted is dropped: its parts would no longer be neighbours in time.

    Args:
        record: new, or one to go on with.
        targets: whom to measure.
        on_event: is called before each process.
        save: is called with the record after each block.

    Returns:
        The finished record.
    """
    for number in range(len(record.blocks), record.plan.blocks):
        before, started_at = environment.used(), environment.now()
        found = _Found({(row.side, row.configuration): row for row in record.rows}, list(record.failures))
        order = drawn_order(targets, record.plan.seed, number)
        for position, target in enumerate(order):
            on_event(Measuring(number, record.plan.blocks, position, len(order), target.label))
            _measure(target, number, position, found)
        busy, steal = environment.usage_since(before)
        block = Block(
            started_at=started_at,
            order=tuple(target.label for target in order),
            busy_share=busy,
            steal_share=steal,
        )
        record = replace(
            record,
            blocks=(*record.blocks, block),
            rows=tuple(found.rows.values()),
            failures=tuple(found.failures),
        )
        save(record)
    return record


def drawn_order(targets: Sequence[TargetUnderTest], seed: int, block: int) -> list[TargetUnderTest]:
    """Return the order of a block: a shuffle that depends on the seed and the block's number alone."""
    order = sorted(targets, key=lambda target: target.label)
    random.Random(f"mnist-bench/{seed}/{block}").shuffle(order)  # noqa: S311 nothing secret
    return order


def _measure(target: TargetUnderTest, block: int, position: int, found: _Found) -> None:
    if None in found.left_out(target):
        return
    try:
        outcome = target.measure(block, position)
    except MnistBenchError as error:
        found.fail(target, block, str(error))
        return
    for one in outcome.wrong:
        if (one.threads, one.batch_size) not in found.left_out(target):
            found.fail(target, block, one.reason, one.threads, one.batch_size)
    for row in outcome.rows:
        if (row.configuration.threads, row.configuration.batch_size) not in found.left_out(target):
            found.add(replace(row, side=target.side, sha256=target.sha256))
