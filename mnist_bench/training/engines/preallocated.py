"""The step by hand, with PyTorch's own matrix products written into buffers that are allocated once.

Autograd allocates 5 MB of gradients and activations at every step, which the system gives and takes back page by page.
"""

import torch
from torch import Tensor

from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import TrainConfig
from mnist_bench.model import Network
from mnist_bench.training.engines._engine import Engine
from mnist_bench.training.engines._manual_step import ManualStep

DEVICES, PRECISION = ("cpu", "cuda"), "fp32"


def why_unavailable() -> Skipped | None:
    """It is wherever torch is."""
    return None


class TorchProducts:
    """See `MatmulBackend`: `torch.mm` and `torch.addmm`, a buffer for each purpose and size."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, int, int], Tensor] = {}

    def dense(self, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """See `MatmulBackend`."""
        return torch.addmm(bias, inputs, weight.t(), out=self._buffer("dense", inputs, len(inputs), len(weight)))

    def input_gradient(self, gradient: Tensor, weight: Tensor) -> Tensor:
        """See `MatmulBackend`."""
        return torch.mm(gradient, weight, out=self._buffer("input", gradient, len(gradient), weight.shape[1]))

    def weight_gradient(self, gradient: Tensor, inputs: Tensor) -> Tensor:
        """See `MatmulBackend`."""
        buffer = self._buffer("weight", gradient, gradient.shape[1], inputs.shape[1])
        return torch.mm(gradient.t(), inputs, out=buffer)

    def _buffer(self, purpose: str, like: Tensor, rows: int, columns: int) -> Tensor:
        key = purpose, rows, columns
        if key not in self._buffers:
            self._buffers[key] = like.new_empty(rows, columns)
        return self._buffers[key]


def create(network: Network, images: Tensor, labels: Tensor, config: TrainConfig) -> Engine:
    """Build the engine; see `Engine`."""
    return ManualStep(network, images, labels, config, TorchProducts())
