"""Studies made by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mnist_bench.core.kinds import Activation
from mnist_bench.core.study_types import SeedResult, StudyRecord
from mnist_bench.core.types import DatasetInfo, EpochMetrics, Tally, TrainConfig
from tests.bench.made import ENVIRONMENT

TRAIN_IMAGES, TEST_IMAGES = 1_000, 1_000


def tally(accuracy: float, images: int = TEST_IMAGES) -> Tally:
    return Tally(loss_sum=1.0, correct=round(accuracy * images), images=images)


def result(
    activation: Activation = "relu",
    seed: int = 0,
    accuracies: Sequence[float] = (0.9, 0.95),
    wrong: Sequence[int] | None = None,
    train: float = 1.0,
    **changed: Any,
) -> SeedResult:
    """Return a result with these validation accuracies, epoch by epoch; `wrong` are the misclassified images."""
    epochs = tuple(
        EpochMetrics(epoch=epoch, train=tally(0.5), validation=tally(accuracy), train_s=0.5, evaluation_s=0.25)
        for epoch, accuracy in enumerate(accuracies, 1)
    )
    count = TEST_IMAGES - tally(accuracies[-1]).correct
    misclassified = tuple(range(count)) if wrong is None else tuple(wrong)
    fields = {
        "activation": activation,
        "seed": seed,
        "epochs": epochs,
        "train": tally(train, TRAIN_IMAGES),
        "test": Tally(loss_sum=1.0, correct=TEST_IMAGES - len(misclassified), images=TEST_IMAGES),
        "misclassified": misclassified,
        "weights_sha256": "0" * 64,
        "trained_on": "Abacus 3000, torch 2.14.0",
    }
    return SeedResult(**fields | changed)


def record(results: Sequence[SeedResult] = (), **changed: Any) -> StudyRecord:
    """Return the study of these results, finished unless told otherwise."""
    activations = tuple(one for one in ("relu", "sigmoid") if one in {found.activation for found in results})
    seeds = tuple(sorted({found.seed for found in results}))
    epochs = len(results[0].epochs) if results else 2
    order = sorted(results, key=lambda found: (activations.index(found.activation), found.seed))
    fields: dict[str, Any] = {
        "name": "study-made",
        "environment": ENVIRONMENT,
        "dataset": DatasetInfo(
            name="made",
            classes=tuple("0123456789"),
            sha256={"all": "1" * 64},
            train_images=TRAIN_IMAGES,
            validation_images=TEST_IMAGES,
            test_images=TEST_IMAGES,
        ),
        "config": TrainConfig(dataset="made", epochs=epochs),
        "activations": activations or ("relu", "sigmoid"),
        "seeds": seeds or (0, 1),
        "results": tuple(order),
    }
    return StudyRecord(**fields | changed)


def drawn(seeds: int = 32, difference: float = -0.003, spread: float = 0.001) -> StudyRecord:
    """Return a study whose accuracies are drawn from normal distributions, always the same."""
    generator = np.random.default_rng(0)
    found = []
    for seed in range(seeds):
        for activation, middle in (("relu", 0.983), ("sigmoid", 0.983 + difference)):
            last = float(np.clip(generator.normal(middle, spread), 0, 1))
            found.append(result(activation, seed, (middle - 0.02, middle - 0.01, last), train=0.998))  # type: ignore[arg-type]
    return record(found)
