"""On which images any two runtimes disagree."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from mnist_bench.analysis.parity import alike, disagreements, image_name, label_name, predictions, silent
from mnist_bench.core.types import ParityRecord
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 2
PREVIEW = 20


def build(record: ParityRecord, _options: ViewOptions) -> Iterator[Table]:
    """The flip matrix, then every image on which not all agree."""
    found = predictions(record)
    groups = alike(found)
    counts, names = disagreements(list(groups)), list(found)
    group = {name: place for place, together in enumerate(groups.values()) for name in together}
    columns = [Column("Images that differ"), *(Column(str(place), Unit.COUNT) for place in range(1, len(names) + 1))]
    rows: list[list[Cell]] = [
        [f"{place} {a}", *(None if a == b else counts[group[a]][group[b]] for b in names)]
        for place, a in enumerate(names, 1)
    ]
    missing = [f"Not compared, because it did not answer properly: {name}." for name in silent(record)]
    if len(groups) > 1:
        yield Table("Flip matrix", columns, rows, notes=[*_scope(record), *_cancelling(record, found), *missing])
        yield _images(record, found)
    elif len(names) > 1:
        note = "Every target that answered predicts what the reference predicts, in every configuration."
        yield Table("Flip matrix", [Column("Images that differ")], [["none"]], notes=[note, *missing])
    else:
        yield Table("Flip matrix", [Column("Images that differ")], [], notes=missing)


def _scope(record: ParityRecord) -> list[str]:
    edges = f" and {len(record.edges)} edge images" if record.edges else ""
    where = "where a target's configurations differ, what differs from the reference counts"
    return [f"Of {len(record.labels):,} test images{edges}; {where}."]


def _cancelling(record: ParityRecord, found: dict[str, list[int]]) -> Iterator[str]:
    """Call out accuracies that agree although predictions do not; targets that predict alike are named together."""
    groups = alike({name: predicted[: len(record.labels)] for name, predicted in found.items()})
    counts = disagreements(list(groups))
    for (i, (one, ones)), (j, (other, others)) in combinations(enumerate(groups.items()), 2):
        if _correct(record, one) == _correct(record, other):
            yield (
                f"Cancelling flips: {', '.join(ones)} and {', '.join(others)} have the same accuracy, and differ on "
                f"{counts[i][j]} test images."
            )


def _correct(record: ParityRecord, predicted: Sequence[int]) -> int:
    return sum(a == b for a, b in zip(record.labels, predicted, strict=False))


def _images(record: ParityRecord, found: dict[str, list[int]]) -> Table:
    uncertified = {entry.image for entry in record.certificate.uncertified}
    differing = [
        image for image in range(len(record.reference_predictions)) if len({p[image] for p in found.values()}) > 1
    ]
    rows = [
        (
            image_name(record, image),
            label_name(record, image),
            record.classes[record.reference_predictions[image]],
            ", ".join(
                f"{name}: {record.classes[predicted[image]]}"
                for name, predicted in found.items()
                if predicted[image] != record.reference_predictions[image]
            ),
            record.reference_margins[image],
            "no" if image in uncertified else "yes",
        )
        for image in differing
    ]
    columns = [
        Column("Image"),
        Column("True"),
        Column("Reference"),
        Column("Others"),
        Column("Margin", Unit.FINE_LOGITS),
        Column("Certified"),
    ]
    return Table("Images on which not all agree", columns, rows, preview=PREVIEW)
