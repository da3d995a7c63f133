"""The reference's answers to a run's test images, for a file that brings them along."""

from pathlib import Path

from mnist_bench import data, formats
from mnist_bench.core.types import Record
from mnist_bench.parity._inputs import build_inputs
from mnist_bench.parity._network import reference_of


def reference_answers(folder: Path, record: Record, data_dir: Path | None = None) -> formats.Reference:
    """Evaluate the reference, and certify, as `verify` does it.

    Args:
        folder: the run's folder.
        record: its record; it must hold a checkpoint.
        data_dir: where the dataset is looked for first.

    Raises:
        DataUnavailable: the dataset is not on this machine and could not be downloaded.
        RecordDamaged: the weights are not those that were saved.
    """
    dataset = data.load(record.config.dataset, data_dir)
    inputs, tests = build_inputs(dataset, reference_of(folder, record)), dataset.test
    bounds = inputs.bounds.first(len(tests))
    return formats.Reference(tests.pixels, tests.labels, bounds.logits, bounds.certified, inputs.tolerance)
