"""What lower precisions change, and whether their accuracy is another one."""

from collections.abc import Iterator

from mnist_bench.analysis.parity import by_target, predictions
from mnist_bench.core.stats import mcnemar
from mnist_bench.core.types import ParityRecord
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 3


def build(record: ParityRecord, _options: ViewOptions) -> Iterator[Table]:
    """One table with a row per runtime in a lower precision; none where there is none."""
    low = [name for name, results in by_target(record).items() if results[0].configuration.precision != "fp32"]
    found = predictions(record)
    columns = [
        Column("Lower precision"),
        Column("Held to"),
        Column("Flips", Unit.COUNT),
        Column("Lost", Unit.COUNT),
        Column("Won", Unit.COUNT),
        Column("Accuracy", Unit.SHARE_DIFFERENCE),
        Column("p", Unit.PROBABILITY),
    ]
    tiers = {result.configuration.target: result.tier for result in record.results if result.tier}
    rows = [[name, tiers.get(name), *_row(record, found[name])] for name in low if name in found]
    if rows:
        note = (
            "Held to: the tier, chosen by how a session really computes (docs/certificate.md). Lost: only the "
            "reference is right; won: only the runtime is. p: exact two-sided McNemar test of the hypothesis that both "
            "are equally accurate (McNemar 1947)."
        )
        yield Table("Lower precisions against the reference, test set", columns, rows, notes=[note])


def _row(record: ParityRecord, predicted: list[int]) -> list[Cell]:
    answers = list(zip(record.labels, record.reference_predictions, predicted, strict=False))
    lost = sum(reference == label != other for label, reference, other in answers)
    won = sum(other == label != reference for label, reference, other in answers)
    p = mcnemar(lost, won)
    flips = sum(reference != other for _, reference, other in answers)
    return [flips, lost, won, (won - lost) / len(answers), p]
