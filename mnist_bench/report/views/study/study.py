"""What was trained how often, on what, and what is lacking."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mnist_bench.core.dataset_names import shown
from mnist_bench.core.study_types import StudyRecord
from mnist_bench.report._study import going_on
from mnist_bench.report._table import Cell, Column, Quantity, Table, Unit, ViewOptions

ORDER = 1
SHORT_RUN = 2
NAMED = 3  # how many failures are told


def build(record: StudyRecord, options: ViewOptions) -> Iterator[Table]:
    """One table, and what is lacking below it."""
    rows: list[list[Cell]] = [[name, value] for name, value in _facts(record).items()]
    yield Table("Study", [Column("Study"), Column(record.name)], rows, notes=_notes(record, options.out))


def _facts(record: StudyRecord) -> dict[str, Cell]:
    config, machine, images = record.config, record.environment, record.dataset
    watched = "the test set" if config.validation == "test" else f"{images.validation_images:,} images held out"
    training_s = sum(epoch.train_s for result in record.results for epoch in result.epochs)
    return {
        "Network": f"784-512-256-10, {' and '.join(record.activations)}, dropout {config.dropout:g}",
        "Dataset": f"{shown(images.name)}: {images.train_images:,} training, {images.test_images:,} test images",
        "Validation": f"{watched}, watched every epoch",
        "Protocol": f"Adam {config.learning_rate:g}, cross-entropy, batch {config.batch_size}, {config.epochs} epochs",
        "Seeds": f"{len(record.seeds):,}: {_listed(record.seeds)}",
        "Trainings": f"{len(record.results):,} of {len(record.keys):,}",
        "Training, all of them": Quantity(training_s, Unit.SECONDS),
        "Engine": config.engine,
        "Trained on": f"{config.device}, one thread each"
        if config.device == "cpu"
        else f"{config.device}, many at once",
        "Machine": f"{machine.gpu or machine.cpu_model or 'unknown CPU'}, {machine.cores} cores",
        "Software": f"Python {machine.python}, torch {machine.libraries.get('torch', '?')}",
    }


def _listed(seeds: Sequence[int]) -> str:
    """Write seeds out, runs of them as `0 … 7`."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ", ".join(f"{run[0]} … {run[-1]}" if len(run) > SHORT_RUN else ", ".join(map(str, run)) for run in runs)


def _notes(record: StudyRecord, out: Path) -> list[str]:
    notes = ["Both activations see the same images in the same order with the same dropout masks, seed by seed."]
    notes = notes if len(record.activations) > 1 else []
    notes += [f"Not trained by a faster engine, {reason}." for reason in record.passed_over]
    notes += going_on(record, out)
    told = [f"{one.activation} seed {one.seed}: {one.reason}" for one in record.failures[:NAMED]]
    if told:
        more = f"; and {len(record.failures) - NAMED} more" if len(record.failures) > NAMED else ""
        notes.append(f"Failed at the last attempt: {'; '.join(told)}{more}.")
    machines = sorted({result.trained_on for result in record.results})
    if len(machines) > 1:
        notes.append(f"Trained on unlike machines, so the weights differ by rounding too: {'; '.join(machines)}.")
    if record.resumed_at:
        notes.append(f"Resumed {len(record.resumed_at)} time(s).")
    return notes
