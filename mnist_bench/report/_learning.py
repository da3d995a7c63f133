"""What the epochs of a record say: functions over the saved numbers."""

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
