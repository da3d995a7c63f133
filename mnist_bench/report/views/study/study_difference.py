"""The second activation minus the first, seed by seed."""

from collections.abc import Iterator

from mnist_bench.analysis import study
from mnist_bench.core.study_types import StudyRecord
from mnist_bench.report._study import verdict
from mnist_bench.report._table import Cell, Column, Quantity, Table, Unit, ViewOptions

ORDER = 3


def build(record: StudyRecord, _options: ViewOptions) -> Iterator[Table]:
    """One table, where at least one seed has a result of both activations."""
    found = study.paired(record)
    if found is None:
        return
    name = f"{found.second} - {found.first}"
    rows: list[list[Cell]] = [[fact, value] for fact, value in _facts(found).items()]
    how = "Each seed gives one difference: both networks had the same images, order and masks. p: paired t-test."
    columns = [Column("Paired by seed"), Column(name)]
    yield Table(f"{record.name}: {name}, test accuracy", columns, rows, notes=[verdict(found), how])


def _facts(found: study.Paired) -> dict[str, Cell]:
    accuracy = found.accuracy
    return {
        "Seeds with both": Quantity(len(found.seeds), Unit.COUNT),
        "Difference, mean": Quantity(accuracy.mean, Unit.SHARE_DIFFERENCE),
        "– 95% interval, low": Quantity(accuracy.interval and accuracy.interval.low, Unit.SHARE_DIFFERENCE),
        "– 95% interval, high": Quantity(accuracy.interval and accuracy.interval.high, Unit.SHARE_DIFFERENCE),
        "p": Quantity(found.p, Unit.PROBABILITY),
        "Standard deviation over seeds": Quantity(accuracy.deviation, Unit.SHARE_WIDTH),
        "Error of the mean from the training's randomness": Quantity(accuracy.standard_error, Unit.SHARE_WIDTH),
        "Error of the mean from the choice of test images": Quantity(found.image_error, Unit.SHARE_WIDTH),
        f"Seeds in which {found.second} is better": Quantity(sum(v > 0 for v in accuracy.values), Unit.COUNT),
    }
