"""The images that the network gets wrong, the most confident mistakes first."""

from collections.abc import Iterator

from matplotlib.figure import Figure

from mnist_bench.analysis.classes import names
from mnist_bench.core.commands import resume_command
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import Predictions, Record
from mnist_bench.data import Dataset
from mnist_bench.report._errors import misclassified
from mnist_bench.report._material import Material
from mnist_bench.report.figures._style import Picture, image_grid, short

ORDER = 4
ROWS, COLUMNS = 5, 6


def build(material: Material) -> Iterator[Picture | Skipped]:
    """One picture per finished run with at least one mistake."""
    dataset = material.dataset
    for record in material.records:
        if isinstance(dataset, Skipped):
            yield Skipped(f"misclassified of {record.name}", dataset.reason, dataset.remedy)
        elif record.final and record.final.test.correct < record.final.test.images:
            yield _picture(record, record.final.predictions, dataset)
        else:
            perfect = ("no image is misclassified", "there is nothing to mend")
            unfinished = ("training is not finished", resume_command(record, material.out))
            yield Skipped(f"misclassified of {record.name}", *(perfect if record.final else unfinished))


def _picture(record: Record, found: Predictions, dataset: Dataset) -> Picture:
    wrong = misclassified(found)
    says = (
        f"{min(len(wrong), ROWS * COLUMNS)} of the {len(wrong)} test images that {record.name} gets wrong, the most "
        f"confident mistakes first."
    )
    return Picture(record.name, "misclassified", _draw(record, found, wrong, dataset), says)


def _draw(record: Record, found: Predictions, wrong: list[int], dataset: Dataset) -> Figure:
    shown = wrong[: ROWS * COLUMNS]
    rows = -(-len(shown) // COLUMNS)
    title = f"{short(record.name)}: {len(shown)} of {len(wrong)} misclassified test images, the most confident first"
    figure, axes = image_grid(rows, COLUMNS, title, cell_inches=1.7)
    for panel, index in zip(axes, shown, strict=False):
        panel.imshow(dataset.test.pixels[index], cmap="gray_r", vmin=0, vmax=255)
        true, predicted = (names(record)[of[index]] for of in (found.labels, found.predictions))
        panel.set_title(f"true {true}, predicted {predicted}", fontsize=9)
    return figure
