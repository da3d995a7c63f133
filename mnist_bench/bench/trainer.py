"""Inside a measured process: training steps over the real data, evaluation excluded."""

import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_bench.worker.clock import NANO, WarmUp, peak_device_bytes, peak_resident_bytes

if TYPE_CHECKING:
    from mnist_bench.core.types import TrainConfig
    from mnist_bench.data import Dataset
    from mnist_bench.training import Rehearsal

IMAGES_A_PROCESS = 60_000


def measure(
    config: dict[str, Any], data_dir: str | None, threads: list[int], batch_sizes: list[int], warm_up: dict[str, Any]
) -> dict[str, Any]:
    """Measure an engine in this process, with each number of threads and each batch size.

    Args:
        config: the fields of a `TrainConfig`.
        data_dir: where the dataset is.
        threads: numbers of threads, in this order.
        batch_sizes: ascending.
        warm_up: the fields of a `WarmUp`, in steps, for each configuration.

    Returns:
        The version, the seconds of importing and the measurements; see `_measure`.
    """
    began = time.perf_counter_ns()
    import torch

    from mnist_bench import data, training
    from mnist_bench.core.types import TrainConfig

    import_s = (time.perf_counter_ns() - began) * NANO
    dataset = data.load(config["dataset"], Path(data_dir) if data_dir else None, download=False)
    wanted = WarmUp(**warm_up)
    sessions = [
        _measure(TrainConfig(**config | {"threads": count, "batch_size": size}), dataset, wanted, training.Rehearsal)
        for count in threads
        for size in batch_sizes
    ]
    for later in sessions:
        if later["threads"] != threads[0]:  # its peaks are those of what this process did before
            later["peak_resident_bytes"] = later["peak_device_bytes"] = None
    return {"version": torch.__version__, "import_s": import_s, "sessions": sessions}


def epoch_loss(config: dict[str, Any], data_dir: str | None, batch_sizes: list[int]) -> list[float]:
    """Return the mean loss of the first epoch with each batch size: what every engine must come to, within rounding."""
    from mnist_bench import data, training
    from mnist_bench.core.types import TrainConfig

    dataset = data.load(config["dataset"], Path(data_dir) if data_dir else None, download=False)
    found = []
    for size in batch_sizes:
        staged = training.Rehearsal(TrainConfig(**config | {"batch_size": size}), dataset)
        for _ in staged.steps(1):
            pass
        found.append(staged.tally().loss)
    return found


def _measure(
    config: "TrainConfig", dataset: "Dataset", warm_up: WarmUp, rehearsal: "type[Rehearsal]"
) -> dict[str, Any]:
    """Take the first step, warm up for at least the first epoch, and time whole epochs."""
    began = time.perf_counter_ns()
    staged = rehearsal(config, dataset)
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
    return {
        "threads": config.threads,
        "batch_size": config.batch_size,
        "load_s": load_s,
        "first_call_s": first_call_s,
        "warm_up_calls": taken,
        "warm_up_s": (time.perf_counter_ns() - began) * NANO,
        "loss": loss,
        "images": staged.images,
        "times_s": [_epoch_s(staged, number + 3) for number in range(max(1, IMAGES_A_PROCESS // staged.images))],
        "peak_resident_bytes": peak_resident_bytes(),
        "peak_device_bytes": peak_device_bytes(config.device),
    }


def _warmed(staged: "Rehearsal", left: WarmUp) -> int:
    """Take steps of the second epoch, again and again, until warm; return how many."""
    end, taken = time.perf_counter() + left.seconds, 0
    for _ in itertools.chain.from_iterable(staged.steps(2) for _ in itertools.count()):
        if taken >= left.calls and time.perf_counter() >= end:
            break
        taken += 1
    staged.tally()
    return taken


def _epoch_s(staged: "Rehearsal", epoch: int) -> float:
    """Time an epoch, evaluation excluded, until the device is done."""
    began = time.perf_counter_ns()
    for _ in staged.steps(epoch):
        pass
    staged.tally()
    return (time.perf_counter_ns() - began) * NANO
