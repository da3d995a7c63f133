"""What a study's results say: functions over the saved record.

Accuracies are those after the last epoch, never the best of the epochs: the best on the test set would be chosen by it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnist_bench.analysis import seeds
from mnist_bench.core.kinds import Activation
from mnist_bench.core.stats import Interval
from mnist_bench.core.study_types import SeedResult, StudyRecord

Z_95 = 1.96  # two-sided 95% quantile of the normal distribution


@dataclass(frozen=True)
class Spread:
    """Some values, one a seed: their mean, their standard deviation and the mean's 95% interval (Student's t).

    The standard deviation and the interval are None for fewer than two values; the interval also where all are equal.
    """

    values: tuple[float, ...]
    mean: float
    deviation: float | None
    interval: Interval | None

    @property
    def standard_error(self) -> float | None:
        """By how much the mean typically differs from that of endlessly many seeds; None for fewer than two values."""
        return None if self.deviation is None else self.deviation / math.sqrt(len(self.values))


@dataclass(frozen=True)
class Convergence:
    """After which epoch the validation accuracy first reached `level`, over `runs` seeds, of which `reached` did.

    A seed that did not reach it counts as later than the last epoch: none is dropped, and the median, or an end of its
    95% interval (bootstrap), is infinite where it lies there. The interval is None for fewer than 6 seeds.
    """

    level: float
    runs: int
    reached: int
    median: float
    interval: Interval | None

    @property
    def share(self) -> float:
        """The share of the seeds that reached the level."""
        return self.reached / self.runs


@dataclass(frozen=True)
class Arm:
    """One activation over all its seeds.

    `gap` is the accuracy on the training set, measured again without dropout, minus that on the test set.
    `sampling_error` is the binomial standard error of the test accuracy of one network: by how much another test set
    of as many images would typically move it. The standard deviation of `accuracy` is what another seed would do.
    """

    activation: Activation
    seeds: tuple[int, ...]
    accuracy: Spread
    training_accuracy: Spread
    gap: Spread
    convergence: Convergence
    sampling_error: float
    test_images: int


@dataclass(frozen=True)
class Paired:
    """The difference between two activations, `second` minus `first`, over the seeds that both were trained with.

    `accuracy` holds the differences of the test accuracies; `p` is that of the paired t-test, None where it says
    nothing. `image_error` is the standard error of the mean difference over test images: by how much another test set
    of as many images would typically move it. What other seeds would do is `accuracy.standard_error`.
    """

    first: Activation
    second: Activation
    seeds: tuple[int, ...]
    accuracy: Spread
    p: float | None
    image_error: float
    test_images: int

    @property
    def beyond_seeds(self) -> bool:
        """Whether the interval over seeds leaves zero out."""
        interval = self.accuracy.interval
        return interval is not None and not interval.low <= 0 <= interval.high

    @property
    def beyond_images(self) -> bool:
        """Whether zero is more than 1.96 standard errors over images away."""
        return abs(self.accuracy.mean) > Z_95 * self.image_error


def arms(record: StudyRecord, level: float) -> tuple[Arm, ...]:
    """Summarise each activation that has a result; `level` is the validation accuracy that counts as converged."""
    found = ((activation, of_activation(record, activation)) for activation in record.activations)
    return tuple(_arm(activation, results, level) for activation, results in found if results)


def paired(record: StudyRecord) -> Paired | None:
    """Compare the first two activations; None where there are not two, or no seed has a result of both."""
    if len(record.activations) < 2:  # noqa: PLR2004 a pair
        return None
    first, second = ({r.seed: r for r in of_activation(record, one)} for one in record.activations[:2])
    pairs = [(one, second[seed]) for seed, one in first.items() if seed in second]
    if not pairs:
        return None
    differences = [after.test.accuracy - before.test.accuracy for before, after in pairs]
    return Paired(
        first=record.activations[0],
        second=record.activations[1],
        seeds=tuple(one.seed for one, _ in pairs),
        accuracy=spread(differences),
        p=seeds.p_of_no_difference(differences),
        image_error=_image_error(pairs, record.dataset.test_images),
        test_images=record.dataset.test_images,
    )


def of_activation(record: StudyRecord, activation: Activation) -> list[SeedResult]:
    """Return the results of one activation, by seed."""
    return [result for result in record.results if result.activation == activation]


def first_epoch_at(result: SeedResult, level: float) -> float:
    """Return the first epoch whose validation accuracy is at least so high; infinity where none is."""
    return next((epoch.epoch for epoch in result.epochs if epoch.validation.accuracy >= level), math.inf)


def spread(values: Sequence[float]) -> Spread:
    """Summarise some values, one a seed."""
    return Spread(
        values=tuple(values),
        mean=float(np.mean(values)),
        deviation=seeds.standard_deviation(values),
        interval=seeds.mean_interval(values),
    )


def _arm(activation: Activation, results: Sequence[SeedResult], level: float) -> Arm:
    accuracy, images = spread([result.test.accuracy for result in results]), results[0].test.images
    epochs = [first_epoch_at(result, level) for result in results]
    return Arm(
        activation=activation,
        seeds=tuple(result.seed for result in results),
        accuracy=accuracy,
        training_accuracy=spread([result.train.accuracy for result in results]),
        gap=spread([result.train.accuracy - result.test.accuracy for result in results]),
        convergence=Convergence(
            level=level,
            runs=len(epochs),
            reached=sum(map(math.isfinite, epochs)),
            median=seeds.median(epochs),
            interval=seeds.median_interval(epochs),
        ),
        sampling_error=math.sqrt(accuracy.mean * (1 - accuracy.mean) / images),
        test_images=images,
    )


def _image_error(pairs: Sequence[tuple[SeedResult, SeedResult]], images: int) -> float:
    """Return the standard error, over test images, of a mean paired difference.

    Each image's value is by how much more often the second network gets it right, averaged over the seeds; images are
    a sample of independent ones, and what all of them share cancels (the paired form of the binomial error).
    """
    better = np.zeros(images)
    for before, after in pairs:
        better[list(before.misclassified)] += 1
        better[list(after.misclassified)] -= 1
    return float(np.std(better / len(pairs), ddof=1)) / math.sqrt(images) if images > 1 else math.inf
