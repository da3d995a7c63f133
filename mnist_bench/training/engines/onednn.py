"""The step by hand, with the large matrix products computed by oneDNN.

PyTorch hands float32 products to MKL, which on processors other than Intel's does not use their widest vectors; oneDNN,
which PyTorch carries too, does: on a Zen 5 it is twice as fast. Products with the last layer's ten columns stay with
torch, which is faster there.
"""

import torch
from torch import Tensor

from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import TrainConfig
from mnist_bench.model import Network
from mnist_bench.training.engines._engine import Engine
from mnist_bench.training.engines._manual_step import ManualStep
from mnist_bench.training.engines.preallocated import TorchProducts

DEVICES, PRECISION = ("cpu",), "fp32"
NARROW = 64


def why_unavailable() -> Skipped | None:
    """Return what this build of PyTorch lacks, or None."""
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return None
    return Skipped("onednn", "this build of PyTorch has no oneDNN", "use --engine preallocated")


class OneDnnProducts:
    """See `MatmulBackend`: oneDNN reads transposed tensors as they lie, so nothing is copied."""

    def __init__(self) -> None:
        self._linear = torch.ops.mkldnn._linear_pointwise
        self._narrow = TorchProducts()

    def dense(self, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """See `MatmulBackend`."""
        if len(weight) < NARROW:
            return self._narrow.dense(inputs, weight, bias)
        return self._multiply(inputs, weight, bias)

    def input_gradient(self, gradient: Tensor, weight: Tensor) -> Tensor:
        """See `MatmulBackend`."""
        if len(weight) < NARROW:
            return self._narrow.input_gradient(gradient, weight)
        return self._multiply(gradient, weight.t(), None)

    def weight_gradient(self, gradient: Tensor, inputs: Tensor) -> Tensor:
        """See `MatmulBackend`."""
        if gradient.shape[1] < NARROW:
            return self._narrow.weight_gradient(gradient, inputs)
        return self._multiply(gradient.t(), inputs.t(), None)

    def _multiply(self, left: Tensor, right: Tensor, bias: Tensor | None) -> Tensor:
        """Return left (m, k) times right (n, k) transposed, plus the bias."""
        product: Tensor = self._linear(left, right, bias, "none", [], "")
        return product


def create(network: Network, images: Tensor, labels: Tensor, config: TrainConfig) -> Engine:
    """Build the engine; see `Engine`."""
    return ManualStep(network, images, labels, config, OneDnnProducts())
