"""Inside a measured process: open a runtime, answer the test images, and time single calls."""

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mnist_bench
from mnist_bench import runtimes
from mnist_bench.core.errors import BadInput

Images = NDArray[np.float32]
Clock = Callable[[], int]
NANO = 1e-9
MOST_CALLS, FEWEST_CALLS, IMAGES_A_PROCESS = 1_000, 60, 15_360


@dataclass(frozen=True)
class WarmUp:
    """How long to warm up: both must be reached."""

    calls: int
    seconds: float


def measure(
    runtime: str,
    model: dict[str, Any],
    device: str,
    threads: list[int],
    batch_sizes: list[int],
    images: str,
    answers: str | None,
    warm_up: dict[str, Any],
    answer_all: bool = True,
) -> dict[str, Any]:
    """Measure a runtime in this process: a session for each number of threads, in each the batch sizes in turn.

    Args:
        runtime: its name.
        model: the fields of a `runtimes.Model`; none for a runtime that reads nothing.
        device: `cpu` or `cuda:N`.
        threads: numbers of threads, in the order in which sessions are opened.
        batch_sizes: ascending.
        images: an `.npy` file, float32 (n, 1, 28, 28).
        answers: a folder to put the answers into; None for a runtime that gives none.
        answer_all: answer every image, and not just as many as will be timed.
        warm_up: the fields of a `WarmUp`; its seconds are shared out among threads and batch sizes.

    Returns:
        The version, the seconds of importing the runtime, and the sessions; see `_session` and `_batch`.
    """
    inputs: Images = np.load(images)
    source = runtimes.Model(**model | {"path": Path(model["path"])}) if model else None
    part = WarmUp(warm_up["calls"], warm_up["seconds"] / len(threads) / len(batch_sizes))
    scratch = Path(answers) if answers else None
    began = time.perf_counter_ns()
    module = runtimes.load(runtime)
    version = module.version()
    import_s = (time.perf_counter_ns() - began) * NANO
    sessions = [
        _session(module, source, runtimes.Spec(device, count), batch_sizes, inputs, scratch, part, answer_all)
        for count in threads
    ]
    for later in sessions[1:]:
        forget_peaks(later["batches"])
    return {"version": version, "import_s": import_s, "sessions": sessions}


def whereabouts() -> str:
    """Return which mnist-bench this process runs: the path of its package."""
    return str(Path(mnist_bench.__file__).parent)


def forget_peaks(measured: list[dict[str, Any]]) -> None:
    """Leave out peaks that are those of what the same process did before."""
    for found in measured:
        found["peak_resident_bytes"] = found["peak_device_bytes"] = None


def _session(
    module: Any,
    model: runtimes.Model | None,
    spec: runtimes.Spec,
    batch_sizes: list[int],
    inputs: Images,
    scratch: Path | None,
    warm_up: WarmUp,
    answer_all: bool,
) -> dict[str, Any]:
    """Open a session and measure it with each batch size; how it runs is asked last, since asking costs memory."""
    began = time.perf_counter_ns()
    with module.open(model, spec) as session:
        load_s = (time.perf_counter_ns() - began) * NANO
        batches = [_batch(session.run, inputs, size, scratch, warm_up, spec, answer_all) for size in batch_sizes]
        effective = session.inspect()
    return {
        "threads": spec.threads,
        "load_s": load_s,
        "provider": effective.provider,
        "precision": effective.precision,
        "batches": batches,
    }


def _batch(
    run: Callable[[Images], Any],
    inputs: Images,
    size: int,
    scratch: Path | None,
    warm_up: WarmUp,
    spec: runtimes.Spec,
    answer_all: bool,
) -> dict[str, Any]:
    batches = split(inputs, size)
    first_call_s = timed(run, batches, 1)[0]
    answers_file = f"answers-{spec.threads}-{size}.npy" if scratch else None
    if scratch and answers_file:
        asked = batches if answer_all else batches[: calls_for(size)]
        np.save(scratch / answers_file, answered(run, asked)[: len(inputs)])
    began = time.perf_counter_ns()
    calls = warmed(run, batches, warm_up)
    warm_up_s = (time.perf_counter_ns() - began) * NANO
    return {
        "batch_size": size,
        "first_call_s": first_call_s,
        "warm_up_calls": calls,
        "warm_up_s": warm_up_s,
        "times_s": timed(run, batches, calls_for(size)),
        "answers_file": answers_file,
        "peak_resident_bytes": peak_resident_bytes(),
        "peak_device_bytes": peak_device_bytes(spec.device),
    }


def calls_for(batch_size: int) -> int:
    """Return how many calls a process times: fixed in advance, 1,000 at batch 1 and 60 at 1,024."""
    return max(FEWEST_CALLS, min(MOST_CALLS, IMAGES_A_PROCESS // batch_size))


def split(inputs: Images, size: int) -> list[Images]:
    """Cut images into batches of one size; the last is filled up with the first images."""
    whole = [inputs[at : at + size] for at in range(0, len(inputs) - size + 1, size)]
    at = len(whole) * size
    if at < len(inputs):
        whole.append(np.take(inputs, range(at, at + size), axis=0, mode="wrap"))
    return whole


def answered(run: Callable[[Images], Any], batches: list[Images]) -> NDArray[np.float32]:
    """Return the answers to all batches, one below the other.

    Raises:
        BadInput: an answer has not as many rows as there were images.
    """
    return np.concatenate([_answer(run, batch) for batch in batches])


def warmed(
    run: Callable[[Images], Any], batches: list[Images], warm_up: WarmUp, clock: Clock = time.perf_counter_ns
) -> int:
    """Call until warm; return how many calls that took."""
    end, calls = clock() + round(warm_up.seconds / NANO), 0
    while calls < warm_up.calls or clock() < end:
        run(batches[calls % len(batches)])
        calls += 1
    return calls


def _answer(run: Callable[[Images], Any], batch: Images) -> NDArray[Any]:
    answer = np.array(run(batch))  # a copy: a runtime may use its buffer again
    if len(answer) != len(batch):
        raise BadInput(f"{len(answer)} answers to {len(batch)} images")
    return answer


def timed(
    run: Callable[[Images], Any], batches: list[Images], calls: int, clock: Clock = time.perf_counter_ns
) -> list[float]:
    """Time single calls, host array in and host array out, on one batch after the other; seconds, all of them."""
    gc.collect()
    gc.disable()
    try:
        return [_time(run, batches[number % len(batches)], clock) for number in range(calls)]
    finally:
        gc.enable()


def _time(run: Callable[[Images], Any], batch: Images, clock: Clock) -> float:
    began = clock()
    run(batch)
    ended = clock()
    return max(ended - began, 1) * NANO  # a clock may not tick at all within a call


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
