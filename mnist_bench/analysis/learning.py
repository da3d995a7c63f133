"""What the epochs of a record say: functions over the saved numbers."""

from collections.abc import Sequence

from mnist_bench.core.study_types import StudyRecord
from mnist_bench.core.types import EpochMetrics, Record


def training_s(record: Record) -> float:
    """Return the seconds spent in training steps, over all finished epochs."""
    return sum(epoch.train_s for epoch in record.epochs)


def images_per_second(record: Record) -> float | None:
    """Return training images per second over all finished epochs; None before the first."""
    if not record.epochs:
        return None
    return sum(epoch.train.images for epoch in record.epochs) / training_s(record)


def best_epoch(record: Record) -> EpochMetrics | None:
    """Return the first epoch of the highest validation accuracy."""
    return max(record.epochs, key=lambda epoch: epoch.validation.accuracy, default=None)


def lowest_loss_epoch(record: Record) -> EpochMetrics | None:
    """Return the first epoch of the lowest validation loss."""
    return min(record.epochs, key=lambda epoch: epoch.validation.loss, default=None)


def first_epoch_at(record: Record, accuracy: float) -> int | None:
    """Return the first epoch whose validation accuracy is at least so high; None where there is none."""
    return next((epoch.epoch for epoch in record.epochs if epoch.validation.accuracy >= accuracy), None)


def accuracy_after(record: Record, epoch: int) -> float | None:
    """Return the validation accuracy after an epoch; None where training has not come so far."""
    return record.epochs[epoch - 1].validation.accuracy if epoch <= len(record.epochs) else None


def watched(records: Sequence[Record]) -> list[str]:
    """Say which images "validation" means."""
    meanings = {
        "test": "Validation here is the test set itself, watched every epoch.",
        "holdout": "Validation here is a part of the training images that was held out.",
    }
    return [meanings[name] for name in dict.fromkeys(record.config.validation for record in records)]


PROTOCOL = ("validation", "epochs", "batch_size", "learning_rate", "dropout")


def protocol_differences(one: Record | StudyRecord, other: Record | StudyRecord) -> list[str]:
    """Return in what two trainings, or a training and a study, differ, but for seed, activation and execution."""
    names = [name.replace("_", " ") for name in PROTOCOL if getattr(one.config, name) != getattr(other.config, name)]
    return [*(["dataset"] if one.dataset.sha256 != other.dataset.sha256 else []), *names]


def unlike(records: Sequence[Record]) -> list[str]:
    """Say in what, but for the activation, runs that are compared differ."""
    facts: dict[str, list[str | float | None]] = {
        "dataset": [record.dataset.name for record in records],
        "validation": [record.config.validation for record in records],
        "epochs": [len(record.epochs) for record in records],
        "batch size": [record.config.batch_size for record in records],
        "learning rate": [record.config.learning_rate for record in records],
        "seed": [record.config.seed for record in records],
        "device": [record.environment.gpu or record.config.device for record in records],
        "threads": [record.config.threads for record in records],
        "engine": [record.config.engine for record in records],
        "machine": [record.environment.cpu_model for record in records],
        "torch": [record.environment.libraries.get("torch") for record in records],
    }
    names = [name for name, values in facts.items() if len(set(values)) > 1]
    return [f"These runs also differ in: {', '.join(names)}."] if names else []
