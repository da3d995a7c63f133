"""Inside a process of its own: one job of a study, trained in memory."""

from pathlib import Path

import torch
from msgspec.structs import replace

from mnist_bench import data, environment, store, training
from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import EnvironmentProblem, TrainingDiverged
from mnist_bench.core.study_types import BATCHED, SeedFailure, SeedResult
from mnist_bench.core.types import TrainConfig
from mnist_bench.study.jobs import Assignment, Outcome


def train(assignment: Assignment) -> Outcome:
    """Train the seeds of a job.

    Raises:
        EnvironmentProblem: the GPU has too little memory.
    """
    seeds, data_dir = assignment.job.seeds, assignment.data_dir
    base = replace(assignment.config, activation=assignment.job.activation)
    dataset = data.load(base.dataset, Path(data_dir) if data_dir else None, download=False)
    try:
        found = _trained(base, seeds, dataset)
    except torch.OutOfMemoryError as error:
        raise EnvironmentProblem(
            f"{base.device} has too little memory for {len(seeds)} seeds at once: give fewer --workers"
        ) from error
    machine = environment.collect(base.device)
    on = f"{machine.gpu or machine.cpu_model or 'unknown processor'}, torch {torch.__version__}"
    return Outcome(
        results=tuple(_result(base, seed, one, on) for seed, one in found.items() if isinstance(one, training.Trained)),
        failures=tuple(_failure(base, seed, one) for seed, one in found.items() if isinstance(one, TrainingDiverged)),
    )


def _trained(
    base: TrainConfig, seeds: tuple[int, ...], dataset: data.Dataset
) -> dict[int, training.Trained | TrainingDiverged]:
    if base.engine == BATCHED:
        return training.train_many(base, seeds, dataset)
    return {seed: training.train_in_memory(replace(base, seed=seed), dataset) for seed in seeds}


def _result(base: TrainConfig, seed: int, trained: training.Trained, trained_on: str) -> SeedResult:
    answers = enumerate(zip(trained.final.predictions.labels, trained.final.predictions.predictions, strict=True))
    return SeedResult(
        activation=base.activation,
        seed=seed,
        epochs=trained.epochs,
        train=trained.final.train,
        test=trained.final.test,
        misclassified=tuple(image for image, (label, prediction) in answers if label != prediction),
        weights_sha256=sha256(store.to_safetensors(trained.weights)),
        trained_on=trained_on,
    )


def _failure(base: TrainConfig, seed: int, error: TrainingDiverged) -> SeedFailure:
    return SeedFailure(activation=base.activation, seed=seed, reason=str(error), exit_code=error.exit_code)
