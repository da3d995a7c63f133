"""The CUDA graph with matrix products in bfloat16: NOT the protocol, and labelled as what it is.

Weights, moments, activations and gradients are kept in float32; what goes into a product, and what comes out of it, is
rounded to bfloat16 (8 bits of mantissa).
"""

from torch import Tensor

from mnist_bench.core.types import TrainConfig
from mnist_bench.model import Network
from mnist_bench.training.engines import cuda_graph
from mnist_bench.training.engines._engine import Engine
from mnist_bench.training.engines._graphed import Graphed

DEVICES, PRECISION = ("cuda",), "bf16"
why_unavailable = cuda_graph.why_unavailable


class RoundedProducts:
    """See `Products`."""

    def dense(self, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """See `Products`."""
        return (inputs.bfloat16() @ weight.bfloat16().t()).float().add_(bias)

    def input_gradient(self, gradient: Tensor, weight: Tensor) -> Tensor:
        """See `Products`."""
        return (gradient.bfloat16() @ weight.bfloat16()).float()

    def weight_gradient(self, gradient: Tensor, inputs: Tensor) -> Tensor:
        """See `Products`."""
        return (gradient.bfloat16().t() @ inputs.bfloat16()).float()


def create(network: Network, images: Tensor, labels: Tensor, config: TrainConfig) -> Engine:
    """Build the engine; see `Engine`."""
    return Graphed(network, images, labels, config, RoundedProducts(), cuda_graph.recorded)
