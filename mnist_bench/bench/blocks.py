"""Blocks: each runs every contender once, in a fresh process, in an order drawn from the recorded seed."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from msgspec.structs import replace

from mnist_bench import environment
from mnist_bench.core.bench_types import BenchRecord, Block, Failure, Row
from mnist_bench.core.child import ChildFailed

R = TypeVar("R", bound=BenchRecord)


@dataclass(frozen=True)
class Outcome:
    """What one process gave: rows of one sample each, and what could not be measured."""

    rows: Sequence[Row]
    failures: Sequence[str] = ()


class Measurement(Protocol):
    """Starts a process and waits for it."""

    def __call__(self, block: int, position: int) -> Outcome:
        """Measure once; raises ChildFailed where the process hung, died or ran out of memory."""
        ...


@dataclass(frozen=True)
class Contender:
    """Something to measure, once a block: on which side of a comparison, what, and how."""

    side: str
    target: str
    measure: Measurement

    @property
    def label(self) -> str:
        """The name by which the order is recorded."""
        return f"{self.side}: {self.target}" if self.side else self.target


@dataclass(frozen=True)
class Progress:
    """Where a benchmark stands: process `position` of `contenders` in block `block` of `blocks`, all from 0."""

    block: int
    blocks: int
    position: int
    contenders: int
    label: str

    @property
    def done(self) -> int:
        """How many processes are done."""
        return self.block * self.contenders + self.position

    @property
    def total(self) -> int:
        """How many processes there are in all."""
        return self.blocks * self.contenders


@dataclass
class _Found:
    """The rows so far, by side and configuration, and the failures."""

    rows: dict[tuple[str, object], Row] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def add(self, row: Row) -> None:
        key = (row.side, row.configuration)
        before = self.rows.get(key)
        if before is not None:
            row = replace(before, samples=before.samples + row.samples)
        self.rows[key] = row


def measure_blocks(
    record: R, contenders: Sequence[Contender], told: Callable[[Progress], None], save: Callable[[R], None]
) -> R:
    """Run the blocks that a record still lacks, and save it after each.

    A contender that fails is not tried again. What a block measured before it was interrupted is dropped: its parts
    would no longer be neighbours in time.

    Args:
        record: new, or one to go on with.
        contenders: whom to measure.
        told: is called before each process.
        save: is called with the record after each block.

    Returns:
        The finished record.
    """
    for number in range(len(record.blocks), record.plan.blocks):
        before, started_at = environment.used(), environment.now()
        found = _Found({(row.side, row.configuration): row for row in record.rows}, list(record.failures))
        order = drawn_order(contenders, record.plan.seed, number)
        for position, contender in enumerate(order):
            told(Progress(number, record.plan.blocks, position, len(order), contender.label))
            _measure(contender, number, position, found)
        busy, steal = environment.usage_since(before)
        block = Block(
            started_at=started_at,
            order=tuple(contender.label for contender in order),
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


def drawn_order(contenders: Sequence[Contender], seed: int, block: int) -> list[Contender]:
    """Return the order of a block: a shuffle that depends on the seed and the block's number alone."""
    order = sorted(contenders, key=lambda contender: contender.label)
    random.Random(f"mnist-bench/{seed}/{block}").shuffle(order)  # noqa: S311 nothing secret
    return order


def _measure(contender: Contender, block: int, position: int, found: _Found) -> None:
    if any((failure.side, failure.target) == (contender.side, contender.target) for failure in found.failures):
        return
    try:
        outcome = contender.measure(block, position)
    except ChildFailed as error:
        outcome = Outcome([], [str(error)])
    for row in outcome.rows:
        found.add(replace(row, side=contender.side))
    for reason in outcome.failures:
        found.failures.append(Failure(side=contender.side, target=contender.target, block=block, reason=reason))
