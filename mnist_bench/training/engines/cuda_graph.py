"""The step by hand, a whole epoch of them in one CUDA graph: no kernel waits for Python to launch it.

Masks are fresh at each replay, and those of the other engines: the generator is registered with the graph, which
moves it on by what the epoch draws (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
"""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import TrainConfig
from mnist_bench.model import Network
from mnist_bench.training.engines._engine import Engine

if TYPE_CHECKING:
    from mnist_bench.training.engines._graphed import Multiply, Work

DEVICES, PRECISION = ("cuda",), "fp32"
LANES = 2
REMEDY = "use --engine preallocated"


def why_unavailable() -> Skipped | None:
    """Return what is missing, or None."""
    if not torch.cuda.is_available():
        return Skipped("cuda-graph", "no CUDA device is here", REMEDY)
    if importlib.util.find_spec("triton") is None:
        return Skipped("cuda-graph", "Triton is not installed", f"pip install triton, or {REMEDY}")
    if not any(map(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang"))):
        return Skipped("cuda-graph", "Triton needs a C compiler", f"install gcc, or {REMEDY}")
    return None


class CudaRecorder:
    """See `Recorder`: a CUDA graph, whose branches were streams when it was recorded."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._lanes = [torch.cuda.Stream(device) for _ in range(LANES)]  # type: ignore[no-untyped-call]

    def record(self, work: "Work", generator: torch.Generator) -> "Work":
        """See `Recorder`; the work is done once before, and not while it is recorded.

        Libraries choose kernels by shape and Triton compiles them by shape and alignment, which must be over by then:
        so that nothing is left out, it is the whole of it that is done.
        """
        before = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        before.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(before):
            work()
        torch.cuda.current_stream(self._device).wait_stream(before)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(generator)
        with torch.cuda.device(self._device), torch.cuda.graph(graph):
            work()
        return graph.replay

    def mark(self) -> torch.cuda.Event:
        """See `Recorder`."""
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    @contextmanager
    def aside(self, lane: int, mark: torch.cuda.Event) -> Iterator[None]:
        """See `Recorder`."""
        self._lanes[lane].wait_event(mark)
        with torch.cuda.stream(self._lanes[lane]):
            yield

    def join(self) -> None:
        """See `Recorder`."""
        for lane in self._lanes:
            torch.cuda.current_stream(self._device).wait_stream(lane)


def create(network: Network, images: Tensor, labels: Tensor, config: TrainConfig) -> Engine:
    """Build the engine; see `Engine`."""
    return multiplying(lambda left, right, out: torch.mm(left, right, out=out), network, images, labels, config)


def multiplying(multiply: "Multiply", network: Network, images: Tensor, labels: Tensor, config: TrainConfig) -> Engine:
    """Build an engine whose matrix products are computed so."""
    from mnist_bench.training.engines._graphed import Graphed  # imports Triton

    return Graphed(network, images, labels, config, multiply, CudaRecorder(images.device))
