"""What a runtime is given and what it gives."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.errors import DeviceUnavailable
from mnist_bench.core.kinds import Activation, Precision, Skipped
from mnist_bench.core.types import Saturation

PROBE = 2  # torch.compile takes a batch of one for a constant

Images = NDArray[np.float32]
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """A file that a runtime opens; its hash has been checked. `activation` is for runtimes that read bare weights.

    `batch` is the batch size where the file takes only one.
    """

    path: Path
    format: str
    precision: Precision
    activation: Activation
    batch: int | None = None


@dataclass(frozen=True)
class Spec:
    """In what configuration to run it: `cpu` or `cuda:N`, and how many CPU threads an operation may use."""

    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class Effective:
    """Where and how a session really runs, read back from it and not repeated from what was asked for.

    `precision` is a `Precision`, or the name of what runs instead; `saturation` is of what computes with int8.
    """

    provider: str
    precision: str
    saturation: Saturation | None = None


@dataclass(frozen=True)
class Session:
    """An opened model: `run` maps images (n, 1, 28, 28) to logits (n, 10).

    `inspect` looks how it runs, which can cost time and memory, so that opening costs only what a user's does.
    """

    run: Callable[[Images], Logits]
    inspect: Callable[[], Effective]


def no_cuda(target: str, device: str) -> Skipped | None:
    """Return why a CUDA device cannot be used with torch; None where it can, and for the CPU."""
    if device == "cpu":
        return None
    from mnist_bench import environment

    try:
        environment.resolve_device(device)
    except DeviceUnavailable as error:
        return Skipped(target, str(error), "use --device cpu, or a machine with an NVIDIA GPU and driver")
    return None


@contextlib.contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch's operations use so many CPU threads, IEEE float32 and no TF32, while this lasts."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_num_threads(before)


def torch_session(call: "Callable[..., object]", device: str) -> Session:
    """Wrap a function from tensor to tensor, as torch runtimes have one; inspecting it asks it once."""
    import torch

    def ask(images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            logits = call(images.to(device))
        assert isinstance(logits, torch.Tensor)
        return logits

    def run(images: Images) -> Logits:
        answer: Logits = ask(torch.from_numpy(images)).cpu().numpy()
        return answer

    def inspect() -> Effective:
        probe = ask(torch.zeros(PROBE, 1, 28, 28))
        exact = torch.get_float32_matmul_precision() == "highest"
        precision = ("fp32" if exact else "tf32") if probe.dtype is torch.float32 else str(probe.dtype)
        return Effective(f"torch {probe.device}", precision)

    return Session(run, inspect)
