"""How long the parts of mnist-bench take: `tox -e bench` runs these and compares with the last time on this machine."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mnist_bench.report as report
from mnist_bench import data, parity, runtimes, training
from mnist_bench.core.types import Record, TrainConfig

Benchmark = Callable[..., Any]
STEPS, BATCH = 20, 64


def test_parsing_mnist(benchmark: Benchmark) -> None:
    root = Path(os.environ.get("MNIST_BENCH_DATA", "/nowhere")).resolve()
    if not (root / "MNIST" / "raw").is_dir():
        pytest.skip("no real MNIST: set MNIST_BENCH_DATA to a torchvision root")
    assert len(benchmark(data.load, "mnist", root, download=False).train) == 60_000


@pytest.mark.parametrize("name", training.engines_for("cpu"))
def test_training_steps(benchmark: Benchmark, name: str, dataset: data.Dataset) -> None:
    staged = training.StepRunner(TrainConfig(dataset="digits", engine=name, batch_size=BATCH), dataset)

    def run() -> int:
        images = sum(itertools.islice(staged.steps(1), STEPS))
        staged.tally()
        return images

    assert benchmark(run) == STEPS * BATCH


@pytest.mark.parametrize("batch", [1, 128])
@pytest.mark.parametrize("name", runtimes.names())
def test_runtime(benchmark: Benchmark, name: str, batch: int, folder: Path, record: Record) -> None:
    module = runtimes.load(name)
    model = runtimes.Model({}, "", "fp32", "relu")  # for the runtime that opens none
    if module.FORMAT:
        if module.why_unavailable():
            pytest.skip(f"{name} is not here")
        model = parity.find_targets(folder, record, parity.Wanted((name,))).ready[0].model
    images = np.random.default_rng(0).random((batch, 1, 28, 28), np.float32)
    with module.open(model, runtimes.Spec("cpu", 1)) as session:
        assert benchmark(session.run, images).shape == (batch, 10)


def test_certificate(benchmark: Benchmark, folder: Path, record: Record) -> None:
    weights = parity.weights_of(folder, record)
    images = np.random.default_rng(0).random((1_000, 1, 28, 28), np.float32)
    assert benchmark(parity.certify, weights, images).certified.shape == (1_000,)


@pytest.mark.parametrize("renderer", ["rich", "markdown", "csv", "json"])
def test_report(benchmark: Benchmark, renderer: str, record: Record) -> None:
    def run() -> str:
        return report.render(renderer, list(report.tables([record], report.ViewOptions())))

    assert record.name in benchmark(run)
