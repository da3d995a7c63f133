"""The CUDA graph with matrix products in TF32: NOT the protocol, and labelled as what it is.

Tensor cores round what goes into a product to 10 bits of mantissa, and sum in float32. The setting is read when the
graph is recorded.
"""

import torch
from torch import Tensor

from mnist_bench.core.types import TrainConfig
from mnist_bench.model import Network
from mnist_bench.training.engines import cuda_graph
from mnist_bench.training.engines._engine import Engine

DEVICES, PRECISION = ("cuda",), "tf32"
why_unavailable = cuda_graph.why_unavailable


def create(network: Network, images: Tensor, labels: Tensor, config: TrainConfig) -> Engine:
    """Build the engine; see `Engine`."""
    torch.set_float32_matmul_precision("high")
    return cuda_graph.create(network, images, labels, config)
