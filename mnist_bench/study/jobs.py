"""What there is to train, in pieces that one process does at a time."""

from collections.abc import Sequence

from msgspec import Struct

from mnist_bench.core.kinds import Activation
from mnist_bench.core.study_types import Key, SeedFailure, SeedResult
from mnist_bench.core.types import Count, TrainConfig


class Job(Struct, frozen=True):
    """Some seeds to be trained by one process: one after another process where they are not batched, else at once."""

    activation: Activation
    seeds: tuple[Count, ...]


class Assignment(Struct, frozen=True):
    """A job of a study for a process: `config` is the study's, `data_dir` where the dataset is."""

    config: TrainConfig
    job: Job
    data_dir: str | None


class Outcome(Struct, frozen=True):
    """What a job came to."""

    results: tuple[SeedResult, ...] = ()
    failures: tuple[SeedFailure, ...] = ()


class Plan(Struct, frozen=True):
    """What rank 0 tells the others: how to train, on which data, and what."""

    config: TrainConfig
    sha256: dict[str, str]
    jobs: tuple[Job, ...]


def jobs_of(lacking: Sequence[Key], at_once: int = 1) -> tuple[Job, ...]:
    """Divide trainings into jobs of at most so many seeds.

    Both activations of a seed stand near each other, so that a study that is stopped has pairs.
    """
    of_activation: dict[Activation, list[int]] = {}
    for activation, seed in lacking:
        of_activation.setdefault(activation, []).append(seed)
    jobs = [
        Job(activation, tuple(seeds[start : start + at_once]))
        for activation, seeds in of_activation.items()
        for start in range(0, len(seeds), at_once)
    ]
    return tuple(sorted(jobs, key=lambda job: job.seeds))


def failed(job: Job, reason: str, exit_code: int) -> Outcome:
    """Return the outcome of a job of which nothing came."""
    return Outcome(
        failures=tuple(
            SeedFailure(activation=job.activation, seed=seed, reason=reason, exit_code=exit_code) for seed in job.seeds
        )
    )
