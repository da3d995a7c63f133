"""Which images are misclassified, and for what they are taken."""

from collections.abc import Iterator

from mnist_bench.analysis.classes import confusions, names
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import FinalMeasurement, Record
from mnist_bench.report._errors import galleries
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.page._blocks import Block, Folded, Heading, Matrix
from mnist_bench.report.views.training import classes, misclassified
from mnist_bench.report.views.training import confusions as confusion_tables

ORDER = 1
TITLE = "Misclassified images"
MOST_SHOWN = 62  # all letters and digits


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """Per run: every misclassified image, the confusion matrix, the pairs, and the classes."""
    for record, gallery in zip(material.records, galleries(material), strict=True):
        yield Heading(record.name)
        if record.final is None:
            yield gallery
            continue
        yield gallery
        yield _matrix(record, record.final)
        yield from confusion_tables.build([record], options)
        yield Folded("Every class in numbers", list(classes.build([record], options)))
        if isinstance(gallery, Skipped):
            yield Folded("Every mistake in numbers", list(misclassified.build([record], options)))


def _matrix(record: Record, final: FinalMeasurement) -> Matrix | Skipped:
    shown, counts = names(record), confusions(record).tolist()
    if len(shown) > MOST_SHOWN:
        return Skipped(
            f"confusion matrix of {record.name}",
            f"it has {len(shown)} rows, more than the {MOST_SHOWN} that can be read",
            "the table below names the pairs",
        )
    wrong = final.test.images - final.test.correct
    says = (
        f"Test images of {record.name} by true class (rows) and predicted class (columns): {wrong:,} of "
        f"{final.test.images:,} lie off the diagonal; the darker, the more."
    )
    return Matrix(f"Confusion matrix of {record.name}", shown, counts, says)
