"""May I deploy it: the verdict of each run, the four numbers behind it, and one picture."""

from collections.abc import Iterator, Sequence

from mnist_bench.analysis.learning import first_epoch_at
from mnist_bench.analysis.parity import passed_of_tried
from mnist_bench.analysis.timing import Summary
from mnist_bench.core.bench_types import Row
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.stats import share_interval
from mnist_bench.core.types import ParityRecord, Record
from mnist_bench.report._deployment import deployment, fastest_passed, passed_everywhere, timed_targets
from mnist_bench.report._figures import pictures
from mnist_bench.report._lines import flips, many, median_us
from mnist_bench.report._material import Material
from mnist_bench.report._summary import SHOWN_BATCHES
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.page._blocks import Block, Text, Tile, Verdict
from mnist_bench.report.views.training.overfitting import true_gap

ORDER = 0
TITLE = "May I deploy it?"
WORST_FIRST = ("failed", "unknown", "passed")
WORDS = {"passed": "may be deployed", "failed": "failed", "unknown": "not fully verified"}


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """A card per run, what failed first; then latency against accuracy, where both were measured."""
    cards = [_card(material, record, options) for record in material.records]
    if len(cards) > 1:
        yield Text(_together([card.state for card in cards]))
    yield from sorted(cards, key=lambda card: WORST_FIRST.index(card.state))
    yield from (found for found in pictures(material, "deployment") if not isinstance(found, Skipped))


def _together(states: Sequence[str]) -> str:
    """Say in a sentence how many of several runs failed, and how many may be deployed: the worst first."""
    counts = {WORDS[state]: states.count(state) for state in WORST_FIRST}
    return f"{len(states)} runs: " + ", ".join(f"{count} {word}" for word, count in counts.items() if count) + "."


def _card(material: Material, record: Record, options: ViewOptions) -> Verdict:
    found, compared = deployment(material, record), material.comparison_of(record)
    tiles = [
        _accuracy(record, options),
        _parity(compared),
        _certified(compared),
        _fastest(material, record),
    ]
    name = f"{record.name}: " if len(material.records) > 1 else ""
    return Verdict(found.state, f"{name}{found.sentence}", found.causes, tiles)


def _accuracy(record: Record, options: ViewOptions) -> Tile:
    final = record.final
    if final is None:
        return Tile("Test accuracy", None, ["training is not finished"])
    low, high = share_interval(final.test.correct, final.test.images)
    notes = [
        f"95% interval {low:.2%} to {high:.2%}",
        f"{final.test.images - final.test.correct:,} errors in {final.test.images:,} images",
    ]
    if (gap := true_gap(record)) is not None:
        notes.append(f"overfitting gap {100 * gap:+.2f} points")
    if record.epochs:
        at, aim, epochs = first_epoch_at(record, options.convergence_at), options.convergence_at, len(record.epochs)
        reached = f"reached in epoch {at} of {epochs}" if at else f"not reached in {epochs} epochs"
        notes.append(f"{100 * aim:g}% {reached}")
    return Tile("Test accuracy", f"{final.test.accuracy:.2%}", notes)


def _parity(compared: ParityRecord | None) -> Tile:
    if compared is None:
        return Tile("Parity", None, ["not verified"])
    notes = ["; ".join(filter(None, ("targets passed", flips(compared))))]
    notes += [f"nothing is known of {len(compared.unreachable):,}"] if compared.unreachable else []
    notes += [f"{len(compared.skipped):,} skipped, named below"] if compared.skipped else []
    return Tile("Parity", passed_of_tried(compared), notes)


def _certified(compared: ParityRecord | None) -> Tile:
    if compared is None:
        return Tile("Certified", None, ["not verified"])
    covered = compared.certificate
    note = "test images on which every correct float32 runtime provably predicts the same"
    return Tile("Certified", f"{covered.certified:,} of {covered.images:,}", [note])


def _fastest(material: Material, record: Record) -> Tile:
    measured, passed = material.inference_of(record), passed_everywhere(material, record)
    if measured is None:
        return Tile("Fastest target", None, [f"not benchmarked; run {material.command('bench', record)}"])
    found = {batch: best for batch in SHOWN_BATCHES if (best := fastest_passed(measured, passed, batch))}
    if not found:
        which = "" if passed is None else ", of those that passed"
        return Tile("Fastest target", None, [f"none timed at batch {' or '.join(map(str, SHOWN_BATCHES))}{which}"])
    first = next(iter(found.values()))
    notes = [_timed(batch, *best) for batch, best in found.items()]
    label = f"Fastest of {many(timed_targets(measured, passed), 'target')} timed"
    return Tile(label, first[0].configuration.target, notes)


def _timed(batch: int, row: Row, found: Summary) -> str:
    own = row.configuration
    return f"batch {batch}: {median_us(found)}, {own.target}, {many(own.threads, 'thread')}"
