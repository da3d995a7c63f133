"""Inside a measured process: training steps over the real data, evaluation excluded."""

import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from mnist_bench.bench._messages import LossRequest, TimedEngine, TimedProcess, TimingRequest
from mnist_bench.core.types import TrainConfig
from mnist_bench.worker.clock import NANO, WarmUp, peak_device_bytes, peak_resident_bytes

if TYPE_CHECKING:  # their import is timed
    from mnist_bench.data import Dataset
    from mnist_bench.training import StepRunner

IMAGES_A_PROCESS = 60_000  # one epoch of MNIST; of a smaller dataset as many epochs as that takes


def measure(wanted: TimingRequest) -> TimedProcess:
    """Measure an engine in this process, with each number of threads and each batch size."""
    began = time.perf_counter_ns()
    import torch

    from mnist_bench import training

    import_s = (time.perf_counter_ns() - began) * NANO
    dataset = _dataset(wanted.config, wanted.data_dir)
    warm_up = WarmUp(wanted.warm_up_calls, wanted.warm_up_s)
    sessions = []
    for threads in wanted.threads:
        for size in wanted.batch_sizes:
            config = replace(wanted.config, threads=threads, batch_size=size)
            session = _measure(config, dataset, warm_up, training.StepRunner)
            if threads != wanted.threads[0]:  # its peaks are those of what this process did before
                session = replace(session, peak_resident_bytes=None, peak_device_bytes=None)
            sessions.append(session)
    return TimedProcess(version=str(torch.__version__), import_s=import_s, sessions=tuple(sessions))


def epoch_losses(wanted: LossRequest) -> tuple[float, ...]:
    """Return the mean loss of the first epoch with each batch size: what every engine must come to, within rounding."""
    from mnist_bench import training

    dataset = _dataset(wanted.config, wanted.data_dir)
    losses = []
    for size in wanted.batch_sizes:
        staged = training.StepRunner(replace(wanted.config, batch_size=size), dataset)
        for _ in staged.steps(1):
            pass
        losses.append(staged.tally().loss)
    return tuple(losses)


def _dataset(config: TrainConfig, data_dir: str | None) -> "Dataset":
    from mnist_bench import data

    return data.load(config.dataset, Path(data_dir) if data_dir else None, download=False)


def _measure(config: TrainConfig, dataset: "Dataset", warm_up: WarmUp, step_runner: "type[StepRunner]") -> TimedEngine:
    """Take the first step, warm up for at least the first epoch, and time whole epochs."""
    began = time.perf_counter_ns()
    staged = step_runner(config, dataset)
    load_s = (time.perf_counter_ns() - began) * NANO
    began = time.perf_counter_ns()
    steps = staged.steps(1)
    next(steps)
    staged.tally()  # waits for the device
    first_call_s = (time.perf_counter_ns() - began) * NANO
    began = time.perf_counter_ns()
    taken = sum(1 for _ in steps)
    loss = staged.tally().loss
    taken += _warmed(staged, WarmUp(warm_up.calls - taken, warm_up.seconds - (time.perf_counter_ns() - began) * NANO))
    return TimedEngine(
        threads=config.threads or 1,
        batch_size=config.batch_size,
        load_s=load_s,
        first_call_s=first_call_s,
        warm_up_calls=taken,
        warm_up_s=(time.perf_counter_ns() - began) * NANO,
        loss=loss,
        images=staged.images,
        times_s=tuple(_epoch_s(staged, number + 3) for number in range(max(1, IMAGES_A_PROCESS // staged.images))),
        peak_resident_bytes=peak_resident_bytes(),
        peak_device_bytes=peak_device_bytes(config.device),
    )


def _warmed(staged: "StepRunner", left: WarmUp) -> int:
    """Take steps of the second epoch, again and again, until warm; return how many."""
    end, taken = time.perf_counter() + left.seconds, 0
    for _ in itertools.chain.from_iterable(staged.steps(2) for _ in itertools.count()):
        if taken >= left.calls and time.perf_counter() >= end:
            break
        taken += 1
    staged.tally()
    return taken


def _epoch_s(staged: "StepRunner", epoch: int) -> float:
    """Time an epoch, evaluation excluded, until the device is done."""
    began = time.perf_counter_ns()
    for _ in staged.steps(epoch):
        pass
    staged.tally()
    return (time.perf_counter_ns() - began) * NANO
