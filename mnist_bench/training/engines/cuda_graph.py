"""The step by hand, a whole epoch of them in one CUDA graph: no kernel waits for Python to launch it.

Masks are fresh at each replay, and those of the other engines: the generator is registered with the graph, which
moves it on by what the epoch draws (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
"""

import torch
from torch import Tensor

from mnist_bench.core.types import Skipped, TrainConfig
from mnist_bench.model import Network
from mnist_bench.training.engines._engine import Engine
from mnist_bench.training.engines._graphed import Graphed, Work
from mnist_bench.training.engines.preallocated import TorchProducts

DEVICES, PRECISION = ("cuda",), "fp32"


def why_unavailable() -> Skipped | None:
    """Return what is missing, or None."""
    if torch.cuda.is_available():
        return None
    return Skipped("cuda-graph", "no CUDA device is here", "use --engine preallocated")


def recorded(warm_up: Work, work: Work, generator: torch.Generator) -> Work:
    """Record work as a CUDA graph, without doing it; see `Recorder`."""
    side = torch.cuda.Stream(generator.device)  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream(generator.device))
    with torch.cuda.stream(side):
        warm_up()
    torch.cuda.current_stream(generator.device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    with torch.cuda.device(generator.device), torch.cuda.graph(graph):
        work()
    return graph.replay


def create(network: Network, images: Tensor, labels: Tensor, config: TrainConfig) -> Engine:
    """Build the engine; see `Engine`."""
    return Graphed(network, images, labels, config, TorchProducts(), recorded)
