"""Each activation over its seeds: accuracy, gap and convergence, with intervals."""

import math
from collections.abc import Iterator, Sequence

from mnist_bench.analysis import study
from mnist_bench.core.study_types import StudyRecord
from mnist_bench.report._study import in_words
from mnist_bench.report._table import Cell, Column, Quantity, Table, Unit, ViewOptions

ORDER = 2
NOT_REACHED = "not reached"


def build(record: StudyRecord, options: ViewOptions) -> Iterator[Table]:
    """One table, a column per activation that has a result."""
    arms = study.arms(record, options.convergence_at)
    if not arms:
        return
    columns = [Column("Over seeds"), *(Column(arm.activation) for arm in arms)]
    facts = [_facts(arm, record.config.epochs) for arm in arms]
    rows: list[list[Cell]] = [[name, *(fact[name] for fact in facts)] for name in facts[0]]
    yield Table(f"{record.name}: each activation over its seeds", columns, rows, notes=_notes(arms, record))


def _facts(arm: study.Arm, epochs: int) -> dict[str, Cell]:
    level, found = f"{100 * arm.convergence.level:g}%", arm.convergence
    accuracy, gap = arm.accuracy, arm.gap
    return {
        "Seeds": Quantity(len(arm.seeds), Unit.COUNT),
        f"Test accuracy after epoch {epochs}, mean": Quantity(accuracy.mean, Unit.SHARE),
        "– 95% interval, low": Quantity(accuracy.interval and accuracy.interval.low, Unit.SHARE),
        "– 95% interval, high": Quantity(accuracy.interval and accuracy.interval.high, Unit.SHARE),
        "– lowest seed": Quantity(min(accuracy.values), Unit.SHARE),
        "– highest seed": Quantity(max(accuracy.values), Unit.SHARE),
        "Error from the training's randomness (standard deviation over seeds)": Quantity(
            accuracy.deviation, Unit.SHARE_WIDTH
        ),
        "Error from the choice of test images (binomial standard error)": Quantity(
            arm.sampling_error, Unit.SHARE_WIDTH
        ),
        "Training accuracy, re-measured, mean": Quantity(arm.training_accuracy.mean, Unit.SHARE),
        "Gap (training - test), mean": Quantity(gap.mean, Unit.SHARE_DIFFERENCE),
        "– standard deviation": Quantity(gap.deviation, Unit.SHARE_WIDTH),
        f"First epoch at {level}, median": _epoch(found.median),
        f"– 95% interval, low ({level})": _epoch(found.interval and found.interval.low),
        f"– 95% interval, high ({level})": _epoch(found.interval and found.interval.high),
        f"Seeds that reached {level}": Quantity(found.share, Unit.SHARE),
    }


def _epoch(value: float | None) -> Cell:
    if value == math.inf:
        return NOT_REACHED
    return Quantity(value, Unit.EPOCH)


def _notes(arms: Sequence[study.Arm], record: StudyRecord) -> list[str]:
    notes = [*map(in_words, arms)]
    notes.append(
        "The accuracy is that after the last epoch, never the best one. Intervals: of a mean by Student's t over "
        "seeds, of a median by the bootstrap (9,999 resamples, from a fixed seed)."
    )
    if any(arm.convergence.reached < arm.convergence.runs for arm in arms):
        notes.append(
            f"A seed that did not reach the level counts as later than epoch {record.config.epochs}: none is dropped."
        )
    if any(arm.convergence.interval is None for arm in arms):
        notes.append("–: an interval of a mean needs 2 seeds that differ, one of a median 6.")
    return notes
