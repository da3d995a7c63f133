"""Which images an emulated processor is asked about, where its time does not suffice for all."""

import time

import numpy as np
from numpy.typing import NDArray

from mnist_bench import hosts
from mnist_bench.parity._compare import Inputs

PILOT = 128
"""Images that are answered twice to see how fast an emulated processor is: the first time its code is translated."""

SAMPLES = (5_000, 2_000, 1_000, 500)
SEED = 0  # fixed: the same sample everywhere


def affordable(worker: hosts.Worker, inputs: Inputs, batch_size: int, due_s: float) -> int:
    """Return how many test images a session answers in so many seconds: all, or one of `SAMPLES`."""
    tests = len(inputs.labels)
    if tests <= SAMPLES[-1]:
        return tests
    pilot = inputs.images[:PILOT]
    for _ in range(2):
        began = time.monotonic()
        worker.run(pilot, min(batch_size, PILOT))
        took_s = time.monotonic() - began
    images = PILOT * due_s / took_s
    return next(count for count in (*counts(tests), 0) if count <= images or count == SAMPLES[-1])


def counts(tests: int) -> tuple[int, ...]:
    """Return how many test images may be asked, of so many: all, and the samples that are fewer."""
    return (tests, *(count for count in SAMPLES if count < tests))


def rows(inputs: Inputs, count: int) -> NDArray[np.intp]:
    """Choose so many test images: half those of the smallest margins, half drawn by the seed; and all edge images."""
    tests = len(inputs.labels)
    if count >= tests:
        return np.arange(len(inputs.images))
    nearest = inputs.nearest(count // 2)
    others = np.setdiff1d(np.arange(tests), nearest)
    drawn = np.random.default_rng(SEED).choice(others, count - len(nearest), replace=False)
    return np.concatenate([np.sort(np.concatenate([nearest, drawn])), np.arange(tests, len(inputs.images))])
