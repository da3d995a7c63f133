"""On how many images any two processors disagree about the same file, and on which."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from mnist_bench.analysis.parity import label_name
from mnist_bench.analysis.processors import by_file, certified, predictions
from mnist_bench.core.types import FleetRecord, ParityResult
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions
from mnist_bench.report.views.fleet.by_processor import processor_name

ORDER = 2
PREVIEW = 20
REFERENCE = "reference"
BATCHED = "int8-dynamic"
"""Has one scale for all images of a batch: what it answers depends on what else is asked."""

Answers = dict[str, dict[int, int]]
"""By processor: its predictions, by image."""


def build(record: FleetRecord, _options: ViewOptions) -> Iterator[Table]:
    """A flip matrix per runtime and precision, and every image on which not all processors agree."""
    images: list[list[Cell]] = []
    for (runtime, precision), results in by_file(record).items():
        found = _predictions(record, results)
        yield _matrix(f"Flip matrix of {runtime} {precision} by processor", found, precision)
        proved = certified(record, results[0].configuration)
        for together in _together(found, precision):
            images += _images(record, f"{runtime} {precision}", together, proved)
    if images:
        columns = [Column("Runtime"), Column("Image"), Column("True"), Column("Predicted"), Column("Certified")]
        yield Table("Images on which not all processors agree", columns, images, preview=PREVIEW)


def _predictions(record: FleetRecord, results: Sequence[ParityResult]) -> Answers:
    """Return each processor's predictions, the reference's first; of several batch sizes what differs counts."""
    tests = range(len(record.labels))
    reference = {image: record.reference_predictions[image] for image in tests}
    found = {REFERENCE: reference}
    for result in results:
        own, before = predictions(record, result), found.get(processor_name(result), {})
        kept = {image: value for image, value in before.items() if value != reference[image]}
        found[processor_name(result)] = {**before, **own, **kept}
    return found


def _together(found: Answers, precision: str) -> list[Answers]:
    """Return the processors whose answers can be compared image by image, the reference left out: it is none."""
    processors = {name: own for name, own in found.items() if name != REFERENCE}
    if precision != BATCHED:
        return [processors]
    groups: dict[frozenset[int], Answers] = {}
    for name, own in processors.items():
        groups.setdefault(frozenset(own), {})[name] = own
    return list(groups.values())


def _matrix(title: str, found: Answers, precision: str) -> Table:
    columns = [Column("Images that differ"), *(Column(str(place), Unit.COUNT) for place in range(1, len(found) + 1))]
    pairs = {frozenset(pair): _differing(found, *pair, precision) for pair in combinations(found, 2)}
    rows: list[list[Cell]] = [
        [f"{place} {a}", *(pairs.get(frozenset((a, b))) for b in found)] for place, a in enumerate(found, 1)
    ]
    notes = ["Of the test images that both were asked about."]
    if precision == BATCHED and len({frozenset(own) for own in found.values()}) > 1:
        notes.append("–: one scale is found for all images of a batch, and the two were asked about other batches.")
    return Table(title, columns, rows, notes=notes)


def _differing(found: Answers, one: str, other: str, precision: str) -> int | None:
    """Count images; None where two batches of other images would be compared."""
    first, second = found[one], found[other]
    if precision == BATCHED and REFERENCE not in (one, other) and first.keys() != second.keys():
        return None
    return sum(image in second for image, _ in first.items() - second.items())


def _images(record: FleetRecord, target: str, answered: Answers, proved: Mapping[int, int]) -> Iterator[list[Cell]]:
    """Yield the images that processors disagree about."""
    for image in range(len(record.labels)):
        said: dict[int, list[str]] = {}
        for name, own in answered.items():
            if image in own:
                said.setdefault(own[image], []).append(name)
        if len(said) > 1:
            words = "; ".join(f"{record.classes[value]}: {', '.join(names)}" for value, names in said.items())
            yield [target, str(image), label_name(record, image), words, "yes" if image in proved else "no"]
