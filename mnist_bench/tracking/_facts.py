"""What is told of a record: numbers by name, and words by name."""

import msgspec

from mnist_bench.analysis.classes import confused_pairs, names
from mnist_bench.core.types import EpochMetrics, Record


def epoch_numbers(epoch: EpochMetrics) -> dict[str, float]:
    """Return the numbers of an epoch: losses in nats, accuracies as shares, times in seconds."""
    return {
        "train/loss": epoch.train.loss,
        "train/accuracy": epoch.train.accuracy,
        "validation/loss": epoch.validation.loss,
        "validation/accuracy": epoch.validation.accuracy,
        "time/train_s": epoch.train_s,
        "time/evaluation_s": epoch.evaluation_s,
        "time/images_per_s": epoch.train.images / epoch.train_s,
    }


def final_numbers(record: Record) -> dict[str, float]:
    """Return what is measured once, at the end; nothing before."""
    if record.final is None:
        return {}
    train, test = record.final.train, record.final.test
    return {
        "final/test_loss": test.loss,
        "final/test_accuracy": test.accuracy,
        "final/train_accuracy": train.accuracy,
        "final/true_gap": train.accuracy - record.epochs[-1].validation.accuracy,
    }


def parameters(record: Record) -> dict[str, str]:
    """Return the configuration, but for the number of epochs, which a later call may raise."""
    fields = msgspec.structs.asdict(record.config)
    return {name: str(value) for name, value in fields.items() if name != "epochs"}


def words(record: Record) -> dict[str, str]:
    """Return what identifies the run and its machine."""
    machine, weights = record.environment, record.checkpoint and record.checkpoint.weights.sha256
    return {
        "epochs": f"{len(record.epochs)} of {record.config.epochs}",
        "cpu": machine.cpu_model or "unknown",
        "gpu": machine.gpu or "none",
        "python": machine.python,
        "weights_sha256": weights or "none yet",
        **{f"version.{name}": version for name, version in machine.libraries.items()},
        **{f"data.{name}": digest for name, digest in record.dataset.sha256.items()},
    }


def confusions(record: Record) -> list[tuple[str, str, int]]:
    """Return (true class, predicted class, images) of every confusion in the test set, in the order of the report."""
    if record.final is None:
        return []
    called = names(record)
    return [(called[i], called[j], count) for i, j, count in confused_pairs(record)]
