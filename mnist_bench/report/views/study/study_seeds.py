"""Every seed: what each of its trainings came to."""

import math
from collections.abc import Iterator

from mnist_bench.analysis import study
from mnist_bench.core.study_types import SeedResult, StudyRecord
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 4
PREVIEW = 12
PAIR = 2


def build(record: StudyRecord, options: ViewOptions) -> Iterator[Table]:
    """One table, a line per seed that has a result."""
    found = {result.key: result for result in record.results}
    seeds = [seed for seed in record.seeds if any((one, seed) in found for one in record.activations)]
    if not seeds:
        return
    level = options.convergence_at
    columns = [
        Column("Seed", Unit.ORDINAL),
        *(Column(one, Unit.SHARE) for one in record.activations),
        *([Column("difference", Unit.SHARE_DIFFERENCE)] if len(record.activations) == PAIR else []),
        *(Column(f"{one}, epoch", Unit.ORDINAL) for one in record.activations),
        *(Column(f"{one}, training", Unit.SHARE) for one in record.activations),
    ]
    rows = [_line(seed, [found.get((one, seed)) for one in record.activations], level) for seed in seeds]
    note = (
        f"Test accuracy of each training; the first epoch at {100 * level:g}%; training accuracy, re-measured with "
        "dropout off. –: not trained yet, or the level was not reached."
    )
    yield Table(f"{record.name}: test accuracy of every seed", columns, rows, notes=[note], preview=PREVIEW)


def _line(seed: int, of_seed: list[SeedResult | None], level: float) -> list[Cell]:
    tests = [one.test.accuracy if one else None for one in of_seed]
    trainings = [one.train.accuracy if one else None for one in of_seed]
    epochs = [study.first_epoch_at(one, level) if one else math.inf for one in of_seed]
    reached: list[Cell] = [None if math.isinf(epoch) else int(epoch) for epoch in epochs]
    both = [test for test in tests if test is not None]
    difference: list[Cell] = [both[1] - both[0] if len(both) == PAIR else None] if len(of_seed) == PAIR else []
    return [seed, *tests, *difference, *reached, *trainings]
