"""A study: one protocol trained with many seeds. Frozen, raw, in SI units, as `types.py` tells."""

from itertools import pairwise

from msgspec import Struct

from mnist_bench.core.kinds import Activation
from mnist_bench.core.types import (
    SCHEMA_VERSION,
    Count,
    DatasetInfo,
    Environment,
    EpochMetrics,
    SchemaVersion,
    Sha256,
    Tally,
    TrainConfig,
)

BATCHED = "batched"
"""The `TrainConfig.engine` of a study whose seeds are trained at once, as one network."""

Key = tuple[Activation, int]
"""What tells one training of a study from another: the activation and the seed."""


class SeedResult(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One training of a study, measured after its last epoch with dropout off.

    `train` is the training set again, `test` the test set, `misclassified` the indices of the test images that were
    predicted wrongly, ascending. `weights_sha256` is that of the weights as a run of the same settings would save
    them. `trained_on` names the processor and the torch that it was trained with. Where many seeds were trained at
    once, the seconds are this one's share of theirs.
    """

    activation: Activation
    seed: Count
    epochs: tuple[EpochMetrics, ...]
    train: Tally
    test: Tally
    misclassified: tuple[Count, ...]
    weights_sha256: Sha256
    trained_on: str

    def __post_init__(self) -> None:
        if [epoch.epoch for epoch in self.epochs] != list(range(1, len(self.epochs) + 1)):
            raise ValueError("the epochs are not numbered 1, 2, 3 …")
        if not (self.train.images and self.test.images):
            raise ValueError("a measurement without images")
        if len(self.misclassified) != self.test.images - self.test.correct:
            raise ValueError("as many images are misclassified as are not predicted correctly")
        if any(one >= other for one, other in pairwise((*self.misclassified, self.test.images))):
            raise ValueError("misclassified images are named once, ascending, and are in the test set")

    @property
    def key(self) -> Key:
        """The activation and the seed."""
        return self.activation, self.seed


class SeedFailure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training that came to no result, and why; `exit_code` is that of the error that ended it."""

    activation: Activation
    seed: Count
    reason: str
    exit_code: Count

    @property
    def key(self) -> Key:
        """The activation and the seed."""
        return self.activation, self.seed


class StudyRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same training with every one of `activations` and every one of `seeds`, as far as it has come.

    `config` says how each is trained, but for its activation and its seed. `results` stand in the order of `keys`,
    whenever each came; `failures` are of the last attempt. `passed_over` says why faster engines could not be used
    where none was asked for.
    """

    schema_version: SchemaVersion = SCHEMA_VERSION
    name: str
    environment: Environment
    dataset: DatasetInfo
    config: TrainConfig
    activations: tuple[Activation, ...]
    seeds: tuple[Count, ...]
    results: tuple[SeedResult, ...] = ()
    failures: tuple[SeedFailure, ...] = ()
    resumed_at: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.keys or len(set(self.keys)) < len(self.keys):
            raise ValueError("a study has activations and seeds, each once")
        if list(self.seeds) != sorted(self.seeds):
            raise ValueError("the seeds are not in ascending order")
        done = [result.key for result in self.results]
        if done != [key for key in self.keys if key in set(done)]:
            raise ValueError("a result is not of this study, there twice, or out of order")
        if {failure.key for failure in self.failures} - set(self.lacking):
            raise ValueError("a failure is of no training that is lacking")
        for result in self.results:
            self._check(result)

    def _check(self, result: SeedResult) -> None:
        if len(result.epochs) != self.config.epochs:
            raise ValueError(f"a result is not of {self.config.epochs} epochs")
        if (result.train.images, result.test.images) != (self.dataset.train_images, self.dataset.test_images):
            raise ValueError("a result is not of the whole training set and the whole test set")

    @property
    def keys(self) -> tuple[Key, ...]:
        """Every training of the study: all seeds of the first activation, then those of the next."""
        return tuple((activation, seed) for activation in self.activations for seed in self.seeds)

    @property
    def lacking(self) -> tuple[Key, ...]:
        """The trainings that have no result yet."""
        done = {result.key for result in self.results}
        return tuple(key for key in self.keys if key not in done)
