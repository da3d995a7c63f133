"""Does it overfit, and by what rule is that said."""

import math
from collections.abc import Iterator, Sequence

from mnist_bench.analysis.learning import best_epoch, lowest_loss_epoch, watched
from mnist_bench.core.types import Record, Tally
from mnist_bench.report._table import Cell, Column, Quantity, Table, Unit, ViewOptions

ORDER = 3
Z_95 = 1.96  # two-sided 95% quantile of the normal distribution
LOSS_RISE, LEAST_SHOWN = 0.05, 0.01
RULE = (
    "Rule: there are two signs of overfitting, a true gap of more than 1.96 standard errors of a difference of two "
    f"accuracies (binomial), and a validation loss more than {LOSS_RISE:.0%} above its minimum. With both, it overfits."
)


def build(records: Sequence[Record], _options: ViewOptions) -> Iterator[Table]:
    """One table, a column per run with at least one finished epoch; and one of those that were imported."""
    yield from _of_imported([record for record in records if record.imported and record.final and not record.epochs])
    begun = [record for record in records if record.epochs]
    if not begun:
        return
    facts = [_facts(record) for record in begun]
    columns = [Column("Overfitting"), *(Column(record.name) for record in begun)]
    rows: list[list[Cell]] = [[name, *(fact[name] for fact in facts)] for name in facts[0]]
    yield Table("Overfitting", columns, rows, notes=[*(verdict(record) for record in begun), RULE, *watched(begun)])


def _facts(record: Record) -> dict[str, Cell]:
    last, best, lowest = record.epochs[-1], best_epoch(record), lowest_loss_epoch(record)
    assert best
    assert lowest
    return {
        "Training accuracy, running (dropout on)": Quantity(last.train.accuracy, Unit.SHARE),
        "Training accuracy, re-measured (dropout off)": Quantity(
            record.final.train.accuracy if record.final else None, Unit.SHARE
        ),
        "Validation accuracy, last epoch": Quantity(last.validation.accuracy, Unit.SHARE),
        "Gap as in a notebook (running - validation)": Quantity(
            last.train.accuracy - last.validation.accuracy, Unit.SHARE_DIFFERENCE
        ),
        "True gap (re-measured - validation)": Quantity(true_gap(record), Unit.SHARE_DIFFERENCE),
        "Best epoch": Quantity(best.epoch, Unit.ORDINAL),
        "Best validation accuracy": Quantity(best.validation.accuracy, Unit.SHARE),
        "Epoch of lowest validation loss": Quantity(lowest.epoch, Unit.ORDINAL),
        "Lowest validation loss": Quantity(lowest.validation.loss, Unit.NATS),
        "Validation loss, risen since by": Quantity(
            last.validation.loss - lowest.validation.loss, Unit.NATS_DIFFERENCE
        ),
    }


def true_gap(record: Record) -> float | None:
    """Return training accuracy with dropout off minus validation accuracy; None where training is not finished.

    Of a run that was imported the test set takes the place of what was watched.
    """
    if record.final is None:
        return None
    watched = record.epochs[-1].validation if record.epochs else record.final.test
    return record.final.train.accuracy - watched.accuracy


def _of_imported(records: Sequence[Record]) -> Iterator[Table]:
    """A row for each; how its training went is not known, so the gap alone can tell."""
    columns = [
        Column("Imported"),
        Column("Training accuracy", Unit.SHARE),
        Column("Test accuracy", Unit.SHARE),
        Column("Gap", Unit.SHARE_DIFFERENCE),
        Column("Beyond chance by", Unit.SHARE_DIFFERENCE),
    ]
    rows: list[list[Cell]] = []
    for record in records:
        final, gap = record.final, true_gap(record)
        assert final
        assert gap is not None
        chance = Z_95 * _standard_error(final.train, final.test)
        rows.append([record.name, final.train.accuracy, final.test.accuracy, gap, max(gap - chance, 0.0)])
    if rows:
        note = "It was trained elsewhere: whether it saw these training images is not known."
        yield Table("Gap of what was imported", columns, rows, notes=[note])


def verdict(record: Record) -> str:
    """Say in one sentence whether a run overfits."""
    gap, lowest = true_gap(record), lowest_loss_epoch(record)
    if gap is None or record.final is None or lowest is None:
        return f"{record.name}: no verdict before training is finished."
    if len(record.epochs) == 1:
        return f"{record.name}: no verdict from a single epoch."
    rise = _rise(record.epochs[-1].validation.loss, lowest.validation.loss)
    error = _standard_error(record.final.train, record.epochs[-1].validation)
    beyond_chance, risen = gap > Z_95 * error, rise > LOSS_RISE
    word = {2: "overfits", 1: "shows one of two signs of overfitting", 0: "shows no sign of overfitting"}[
        beyond_chance + risen
    ]
    return (
        f"{record.name} {word}: the true gap of {100 * gap:.2f} points is {'beyond' if beyond_chance else 'within'} "
        f"sampling error (±{100 * Z_95 * error:.2f}), and the validation loss {_ended(rise)} "
        f"(epoch {lowest.epoch} of {len(record.epochs)})."
    )


def _rise(last: float, lowest: float) -> float:
    """Return by what share of the lowest loss the last one is above it."""
    if last == lowest:
        return 0.0
    return last / lowest - 1 if lowest > 0 else math.inf


def _ended(rise: float) -> str:
    if not rise:
        return "was lowest at the end"
    if math.isinf(rise):
        return "ended above its lowest, which was 0"
    return f"ended {f'{rise:.0%}' if rise >= LEAST_SHOWN else f'less than {LEAST_SHOWN:.0%}'} above its lowest"


def _standard_error(*tallies: Tally) -> float:
    return math.sqrt(sum(tally.accuracy * (1 - tally.accuracy) / tally.images for tally in tallies))
