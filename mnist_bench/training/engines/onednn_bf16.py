"""The step by hand with the large matrix products in bfloat16: NOT the protocol, and labelled as what it is.

Weights, moments, activations and gradients are kept in float32; what goes into a large product, and what comes out of
it, is rounded to bfloat16 (8 bits of mantissa); in between oneDNN sums in float32.
"""

import torch
from torch import Tensor

from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import TrainConfig
from mnist_bench.model import Network
from mnist_bench.training.engines import onednn
from mnist_bench.training.engines._engine import Engine
from mnist_bench.training.engines._manual_step import ManualStep

DEVICES, PRECISION = ("cpu",), "bf16"


def why_unavailable() -> Skipped | None:
    """Return what this build of PyTorch, or this processor, lacks; or None."""
    if onednn.why_unavailable() is None and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    return Skipped(
        "onednn-bf16", "this processor or this build of PyTorch multiplies no bfloat16", "use --engine onednn"
    )


class Bf16Products(onednn.OneDnnProducts):
    """See `MatmulBackend`: what is multiplied more than once is rounded once, the images before the first step."""

    def operand(self, tensor: Tensor) -> Tensor:
        """See `MatmulBackend`."""
        return tensor.bfloat16()

    def _multiply(self, left: Tensor, right: Tensor, bias: Tensor | None) -> Tensor:
        product = super()._multiply(left.bfloat16(), right.bfloat16(), None)
        return product.float() if bias is None else product + bias


def create(network: Network, images: Tensor, labels: Tensor, config: TrainConfig) -> Engine:
    """Build the engine; see `Engine`."""
    return ManualStep(network, images, labels, config, Bf16Products())
