"""Whether every runtime gives the same answers."""

from collections.abc import Iterator
from dataclasses import replace

from mnist_bench.analysis.parity import alike, by_target, disagreements, predictions
from mnist_bench.core.commands import on_run
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import RUNGS, ParityRecord, Record, Uncertified
from mnist_bench.data import Dataset
from mnist_bench.report._errors import image_of
from mnist_bench.report._figures import pictures
from mnist_bench.report._material import Material
from mnist_bench.report._table import Cell, Column, Table, ViewOptions
from mnist_bench.report.page._blocks import Block, Faces, Folded, Heading, Matrix
from mnist_bench.report.views.parity import (
    certificate,
    diagnosis,
    flips,
    layers,
    low_precision,
    quantised,
    runtimes,
    saturation,
    skipped,
    unreachable,
)

ORDER = 6
TITLE = "Parity and certificate"


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """Per run: the ladder, the flip matrix, lower precisions, the certificate; or that it was never verified."""
    found = {record.name: record for record in material.comparisons}
    for record in material.records:
        yield Heading(record.name)
        if record.name in found:
            yield from _compared(found[record.name], options)
            yield from _drift(material, found[record.name], options)
            yield from _uncovered(found[record.name], material.dataset)
        else:
            yield _never(material, record)


def _never(material: Material, record: Record) -> Skipped:
    how = material.command("verify", record)
    return Skipped(f"parity of {record.name}", "its present weights were never verified", how)


def _compared(record: ParityRecord, options: ViewOptions) -> Iterator[Block]:
    verdicts, differences, *failures = runtimes.build(record, options)
    yield from failures
    yield from diagnosis.build(record, options)
    yield from unreachable.build(record, options)
    yield verdicts
    yield Folded("Parity ladder", [_ladder(record)])
    yield from _flips(record, options)
    yield from low_precision.build(record, options)
    yield from saturation.build(record, options)
    yield from certificate.build(record, options)
    yield from quantised.build(record, options)
    yield Folded("Differences of logits", [differences])
    yield from skipped.build(record, options)


def _flips(record: ParityRecord, options: ViewOptions) -> Iterator[Block]:
    """Show who disagrees with whom as a heat map, targets that predict alike as one; and on which images."""
    matrix, *images = flips.build(record, options)
    groups = alike(predictions(record))
    if len(groups) < 2:  # noqa: PLR2004 nobody disagrees
        yield matrix
        return
    counts = disagreements(list(groups))
    letters = [f"{place}" for place in range(1, len(groups) + 1)]
    rows = [f"{letter} {', '.join(names)}" for letter, names in zip(letters, groups.values(), strict=True)]
    title = f"Flip matrix of {record.name}: on how many images targets disagree"
    says = " ".join(["Targets in one row predict alike on every image.", *matrix.notes])
    yield Matrix(title, rows, counts, says, ("targets ↓", "against →"), letters)
    yield from images


def _drift(material: Material, record: ParityRecord, options: ViewOptions) -> Iterator[Block]:
    """Show in which layers the answers drift; or how that is looked at."""
    if not (record.layers or record.shares):
        how = on_run("verify", material.out / record.name, "--layers")
        yield Skipped(f"layers of {record.name}", "they were not looked at", how)
        return
    yield from pictures(replace(material, comparisons=[record]), "layers")
    yield from layers.build(record, options)


def _uncovered(record: ParityRecord, dataset: Dataset | Skipped) -> Iterator[Faces]:
    """Show the test images that the certificate does not cover."""
    if isinstance(dataset, Skipped):
        return
    shown = [
        (image_of(f"test-{entry.image}", dataset.test.pixels[entry.image]), _caption(record, entry))
        for entry in record.certificate.uncertified
        if entry.label is not None and entry.image < len(dataset.test)
    ]
    if shown:
        yield Faces(f"Test images of {record.name} that the certificate does not cover", shown)


def _caption(record: ParityRecord, entry: Uncertified) -> str:
    return f"{entry.image}: {record.classes[entry.prediction]}, nearly {record.classes[entry.rival]}"


def _ladder(record: ParityRecord) -> Table:
    """Return which rungs each runtime holds in all of its configurations."""
    columns = [Column("Runtime"), *(Column(rung) for rung in RUNGS[1:])]
    rows: list[list[Cell]] = []
    for name, results in by_target(record).items():
        held = min(result.rung for result in results)
        rows.append([name, *("✓" if place <= held else "–" for place in range(1, len(RUNGS)))])
    note = "✓: held in every configuration. A rung counts only with all those before it."
    return Table(f"Parity ladder of {record.name}", columns, rows, notes=[note])
