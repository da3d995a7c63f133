"""What was run, on what, and how fast."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mnist_bench.analysis.learning import images_per_second, training_s
from mnist_bench.core.commands import resume_command
from mnist_bench.core.dataset_names import shown
from mnist_bench.core.types import Imported, Record
from mnist_bench.report._table import Cell, Column, Quantity, Table, Unit, ViewOptions

ORDER = 1


def build(records: Sequence[Record], options: ViewOptions) -> Iterator[Table]:
    """One table, a column per run."""
    columns = [Column("Run"), *(Column(record.name) for record in records)]
    facts = [_facts(record) for record in records]
    names = dict.fromkeys(name for fact in facts for name in fact)
    rows: list[list[Cell]] = [[name, *(fact.get(name) for fact in facts)] for name in names]
    yield Table("Run", columns, rows, notes=_notes(records, options.out))


def _facts(record: Record) -> dict[str, Cell]:
    if record.imported and not record.epochs:
        return _of_imported(record, record.imported)
    config, machine, images = record.config, record.environment, record.dataset
    dropout = "" if record.imported else f", dropout {config.dropout:g}"
    return {
        "Network": f"{record.network}{dropout}",
        "Parameters": Quantity(record.parameters, Unit.COUNT),
        "Dataset": f"{shown(images.name)}: {images.train_images:,} training, {images.test_images:,} test images",
        "Validation": _validation(record),
        "Protocol": f"Adam {config.learning_rate:g}, cross-entropy, batch {config.batch_size}, seed {config.seed}",
        "Epochs": f"{len(record.epochs)} of {config.epochs}",
        "Device": f"{machine.gpu} ({config.device})" if machine.gpu else config.device,
        "Threads": Quantity(config.threads, Unit.COUNT),
        "Engine": config.engine,
        "Training": Quantity(training_s(record), Unit.SECONDS),
        "Evaluation": Quantity(sum(epoch.evaluation_s for epoch in record.epochs), Unit.SECONDS),
        "Images/s": Quantity(images_per_second(record), Unit.PER_SECOND),
        "Test accuracy": Quantity(record.final.test.accuracy if record.final else None, Unit.SHARE),
        "Machine": f"{machine.cpu_model or 'unknown CPU'}, {machine.cores} cores",
        "Software": f"Python {machine.python}, torch {machine.libraries.get('torch', '?')}",
    }


def _of_imported(record: Record, found: Imported) -> dict[str, Cell]:
    machine, images = record.environment, record.dataset
    return {
        "Network": record.network,
        "Parameters": Quantity(record.parameters, Unit.COUNT),
        "Dataset": f"{shown(images.name)}: {images.train_images:,} training, {images.test_images:,} test images",
        "Imported from": f"{found.source}: {found.kind}{found.producer and f' by {found.producer}'}, {found.precision}",
        "Takes and gives": "; ".join(found.signature.said()) or "images as ours are",
        "Test accuracy": Quantity(record.final.test.accuracy if record.final else None, Unit.SHARE),
        "Machine": f"{machine.cpu_model or 'unknown CPU'}, {machine.cores} cores",
        "Software": f"Python {machine.python}, torch {machine.libraries.get('torch', '?')}",
    }


def _validation(record: Record) -> str:
    if record.config.validation == "test":
        return "the test set, watched every epoch"
    return f"{record.dataset.validation_images:,} training images held out"


def _notes(records: Sequence[Record], out: Path) -> list[str]:
    notes = ["Images/s counts training steps alone, without evaluation."]
    for record in records:
        notes += [f"{record.name} is not trained by a faster engine, {reason}." for reason in record.passed_over]
        notes += [f"{record.name}: {note}." for note in (record.imported.notes if record.imported else ())]
        if len(record.epochs) < record.config.epochs and not record.imported:
            notes.append(f"{record.name} is not finished: {resume_command(record, out)} goes on.")
        if record.resumed_at:
            notes.append(f"{record.name} was resumed {len(record.resumed_at)} time(s); seconds add up over all parts.")
    return notes
