"""Timing single calls, and answering many images in batches."""

import gc
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.errors import BadInput

Images = NDArray[np.float32]
Clock = Callable[[], int]
NANO = 1e-9


@dataclass(frozen=True)
class WarmUp:
    """How long to warm up: both must be reached."""

    calls: int
    seconds: float


def split(inputs: Images, size: int) -> list[Images]:
    """Cut images into batches of one size; the last is filled up with the first images."""
    whole = [inputs[at : at + size] for at in range(0, len(inputs) - size + 1, size)]
    at = len(whole) * size
    if at < len(inputs):
        whole.append(np.take(inputs, range(at, at + size), axis=0, mode="wrap"))
    return whole


def answered(run: Callable[[Images], Any], batches: Sequence[Images]) -> NDArray[Any]:
    """Return the answers to all batches, one below the other.

    Raises:
        BadInput: an answer has not as many rows as there were images.
    """
    return np.concatenate([_answer(run, batch) for batch in batches])


def _answer(run: Callable[[Images], Any], batch: Images) -> NDArray[Any]:
    answer = np.array(run(batch))  # a copy: a runtime may use its buffer again
    if len(answer) != len(batch):
        raise BadInput(f"{len(answer)} answers to {len(batch)} images")
    return answer


def warmed(
    run: Callable[[Images], Any], batches: Sequence[Images], warm_up: WarmUp, clock: Clock = time.perf_counter_ns
) -> int:
    """Call until warm; return how many calls that took."""
    end, calls = clock() + round(warm_up.seconds / NANO), 0
    while calls < warm_up.calls or clock() < end:
        run(batches[calls % len(batches)])
        calls += 1
    return calls


def timed(
    run: Callable[[Images], Any], batches: Sequence[Images], calls: int, clock: Clock = time.perf_counter_ns
) -> list[int]:
    """Time single calls, host array in and host array out, on one batch after the other; nanoseconds, all of them."""
    gc.collect()
    gc.disable()  # a collection that falls into a call would be taken for the runtime's
    try:
        return [_time(run, batches[number % len(batches)], clock) for number in range(calls)]
    finally:
        gc.enable()


def _time(run: Callable[[Images], Any], batch: Images, clock: Clock) -> int:
    began = clock()
    run(batch)
    ended = clock()
    return max(ended - began, 1)  # a clock may not tick at all within a call


def peak_resident_bytes() -> int | None:
    """Return the most memory that this process ever had resident, in bytes; None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would tell of the parent, if that was larger before it started this process
        lines = (line.split() for line in status.read_text().splitlines())
        return next((int(line[1]) * 1024 for line in lines if line[0] == "VmHWM:"), None)
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def peak_device_bytes(device: str) -> int | None:
    """Return the most device memory that torch had reserved; None on the CPU and where torch does not serve."""
    torch = sys.modules.get("torch")
    return int(torch.cuda.max_memory_reserved(device)) if torch and device.startswith("cuda") else None
