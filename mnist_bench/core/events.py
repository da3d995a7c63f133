"""What long work tells while it goes on: an event each, to one callback, which prints, draws, logs or ignores it."""

from collections.abc import Callable
from dataclasses import dataclass

from mnist_bench.core.kinds import Precision
from mnist_bench.core.study_types import SeedFailure, SeedResult
from mnist_bench.core.types import Configuration, Record


@dataclass(frozen=True, slots=True)
class TrainingStarted:
    """Training begins or goes on; `record.epochs` are those done already."""

    record: Record


@dataclass(frozen=True, slots=True)
class ImagesTrained:
    """So many more images of an epoch are done."""

    epoch: int
    images: int


@dataclass(frozen=True, slots=True)
class EpochDone:
    """An epoch is done, evaluated and saved: the last of `record.epochs`."""

    record: Record


@dataclass(frozen=True, slots=True)
class TrainingFinished:
    """All epochs are done; `record.final` is measured and saved."""

    record: Record


@dataclass(frozen=True, slots=True)
class SeedsDone:
    """So many trainings of a study, of `total`, have a result; `last` is what has just come, if anything."""

    done: int
    total: int
    failed: int = 0
    last: SeedResult | SeedFailure | None = None


@dataclass(frozen=True, slots=True)
class Exporting:
    """A file is about to be written."""

    format: str
    precision: Precision


@dataclass(frozen=True, slots=True)
class Verifying:
    """A configuration is about to be compared with the reference."""

    configuration: Configuration


@dataclass(frozen=True, slots=True)
class Measuring:
    """Process `position` of `processes` in block `block` of `blocks`, all from 0, is about to be measured."""

    block: int
    blocks: int
    position: int
    processes: int
    label: str

    @property
    def done(self) -> int:
        """How many processes are done."""
        return self.block * self.processes + self.position

    @property
    def total(self) -> int:
        """How many processes there are in all."""
        return self.blocks * self.processes


@dataclass(frozen=True, slots=True)
class StageBegan:
    """A stage of a run, such as `verify`, begins."""

    run: str
    stage: str


@dataclass(frozen=True, slots=True)
class StageEnded:
    """A stage has ended; `remark` says what came of it."""

    run: str
    stage: str
    took_s: float
    remark: str


TrainingEvent = TrainingStarted | ImagesTrained | EpochDone | TrainingFinished
Event = TrainingEvent | SeedsDone | Exporting | Verifying | Measuring | StageBegan | StageEnded

OnEvent = Callable[[Event], None]

Stop = Callable[[], int | None]
"""Tells whether to stop after the current step: returns the number of the signal that asks for it, or None."""


def ignore(_event: Event) -> None:
    """Do nothing, where nobody listens."""
