"""What came out of a run, on one screen: what a newcomer knows after the first command."""

from collections.abc import Iterator, Sequence

from mnist_bench.analysis.classes import confused_pairs
from mnist_bench.analysis.learning import first_epoch_at
from mnist_bench.analysis.parity import by_target, passed_of_tried
from mnist_bench.analysis.timing import Summary
from mnist_bench.core.bench_types import Row
from mnist_bench.core.kinds import PROGRAM
from mnist_bench.core.stats import share_interval
from mnist_bench.core.types import FinalMeasurement, ParityRecord, Record
from mnist_bench.report._deployment import State, deployment, fastest_passed, passed_everywhere, timed_targets
from mnist_bench.report._lines import flips, many, median_us, together
from mnist_bench.report._material import Material
from mnist_bench.report._summary import SHOWN_BATCHES
from mnist_bench.report._table import Column, Table, ViewOptions
from mnist_bench.report.views.training.overfitting import true_gap

PAIRS, NAMED = 5, 2
"""How many are named: all of it fits on 80 columns and 24 lines."""


def verdict(material: Material, record: Record) -> tuple[State, str]:
    """Return whether a run may be deployed as far as was seen, and that in a sentence."""
    found = deployment(material, record)
    return found.state, f"{record.name}: {found.sentence}"


def closing(material: Material, record: Record, options: ViewOptions) -> Table:
    """Return what came out of one run: a row a fact, without a word of how it was found."""
    rows: list[list[str]] = []
    compared, found = material.comparison_of(record), deployment(material, record)
    if compared and found.state != "passed":
        rows += _named("Failed" if found.state == "failed" else "Not known", found.causes)
    if record.final:
        rows += _of_training(record, record.final, options)
    if compared:
        rows += _of_parity(compared)
        rows += _of_speed(material, record, compared)
        if found.state == "passed":
            rows += [["Not verified", line] for line in found.causes]
        rows += _named("Skipped", _of_skipped(compared), len(compared.skipped))
    return Table(record.name, [Column("What came out"), Column("")], rows)


def _of_training(record: Record, final: FinalMeasurement, options: ViewOptions) -> Iterator[list[str]]:
    low, high = share_interval(final.test.correct, final.test.images)
    errors = final.test.images - final.test.correct
    yield ["Test accuracy", f"{final.test.accuracy:.2%} (95%: {low:.2%} to {high:.2%}), {errors:,} errors"]
    gap = true_gap(record)
    if gap is not None:
        yield ["Overfitting gap", f"{100 * gap:+.2f} points: {final.train.accuracy:.2%} on the training set"]
    if record.epochs:
        at = first_epoch_at(record, options.convergence_at)
        reached = f"epoch {at} of {len(record.epochs)}" if at else f"not in {len(record.epochs)} epochs"
        yield [f"{100 * options.convergence_at:g}% reached", reached]
    names = record.dataset.classes
    pairs = [f"{names[i]} → {names[j]} ({count})" for i, j, count in confused_pairs(record)[:PAIRS]]
    yield ["True → predicted", ", ".join(pairs) or "none"]


def _of_parity(compared: ParityRecord) -> Iterator[list[str]]:
    covered = compared.certificate
    yield ["Targets that passed", "; ".join(filter(None, (passed_of_tried(compared), flips(compared))))]
    yield ["Certified", f"{covered.certified:,} of {covered.images:,} images, for any float32 runtime"]


def _of_speed(material: Material, record: Record, compared: ParityRecord) -> list[list[str]]:
    """Name the fastest of the targets that passed; that nothing was timed is said as well, with the command for it."""
    measured, passed = material.inference_of(record), passed_everywhere(material, record)
    timed = [(batch, fastest_passed(measured, passed, batch)) for batch in SHOWN_BATCHES] if measured else []
    rows = [[f"Fastest, batch {batch}", _timed(*found)] for batch, found in timed if found]
    asked = len(by_target(compared))
    if measured and rows and (some := timed_targets(measured, passed)) < asked:
        rows.append(["Timed", f"{some} of {asked} targets; all: {material.command('bench', record)}"])
    said = "none that passed was timed" if measured else "not benchmarked"
    return rows or [["Fastest target", f"{said}: {material.command('bench', record)}"]]


def _timed(row: Row, found: Summary) -> str:
    return f"{row.configuration.target}, {many(row.configuration.threads, 'thread')}: {median_us(found)}"


def _of_skipped(compared: ParityRecord) -> list[str]:
    """Name what was left out, and what brings it: first what is a command."""
    ways_out = together(compared.skipped, lambda one: one.remedy or one.reason)
    ordered = sorted(ways_out, key=lambda way_out: PROGRAM not in way_out)
    return [f"{', '.join(ways_out[way_out])}: {way_out}" for way_out in ordered]


def _named(what: str, lines: Sequence[str], count: int = 0) -> Iterator[list[str]]:
    """Yield a row for each of the first lines, of `count` things in all, and one that says that there are more."""
    for place, line in enumerate(lines[:NAMED]):
        yield ["" if place else f"{what}: {count or len(lines)}", line]
    if len(lines) > NAMED:
        yield ["", "the others are on the page"]
