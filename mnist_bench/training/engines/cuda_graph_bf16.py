"""The CUDA graph with matrix products in bfloat16: NOT the protocol, and labelled as what it is.

Weights, moments, activations and gradients are kept in float32, and so are a product's sums; what goes into a product
is rounded to bfloat16 (8 bits of mantissa).
"""

import torch
from torch import Tensor

from mnist_bench.core.types import TrainConfig
from mnist_bench.model import Network
from mnist_bench.training.engines import cuda_graph
from mnist_bench.training.engines._engine import Engine

DEVICES, PRECISION = ("cuda",), "bf16"
why_unavailable = cuda_graph.why_unavailable


def multiply(left: Tensor, right: Tensor, out: Tensor) -> None:
    """See `Multiply`."""
    torch.mm(left.bfloat16(), right.bfloat16(), out_dtype=torch.float32, out=out)


def create(network: Network, images: Tensor, labels: Tensor, config: TrainConfig) -> Engine:
    """Build the engine; see `Engine`."""
    return cuda_graph.multiplying(multiply, network, images, labels, config)
