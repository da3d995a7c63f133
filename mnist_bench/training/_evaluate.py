"""Measuring a network with dropout off."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mnist_bench.core.types import Predictions, Tally
from mnist_bench.model import Network

CHUNK = 2_000  # images a pass: their activations fit into a cache
# Losses are rounded to this grid before they are added: integers in float64 add up to the same in any order.
LOSS_STEPS = 2.0**32


@torch.inference_mode()
def measure(network: Network, images: Tensor, labels: Tensor) -> tuple[Tally, Tensor]:
    """Evaluate images float32 (n, 1, 28, 28) with labels int64 (n,).

    Returns:
        The tally (losses summed in float64) and the logits, float32 (n, 10), on the device.
    """
    network.eval()
    logits = torch.cat([network(chunk) for chunk in torch.split(images, CHUNK)])
    network.train()
    return tally(logits, labels), logits


def tally(logits: Tensor, labels: Tensor) -> Tally:
    """Count logits float32 (n, 10) against labels int64 (n,), on the CPU or a device; see `counted`."""
    loss_sum, correct = counted(logits, labels)
    return Tally(loss_sum=loss_sum.item(), correct=int(correct.item()), images=len(labels))


def answered(logits: NDArray[np.float64], labels: NDArray[np.uint8]) -> tuple[Tally, Predictions]:
    """Count answers that were given elsewhere, logits (n, classes), against labels (n,), as those of a training."""
    given, right = torch.from_numpy(logits), torch.from_numpy(labels.astype(np.int64))
    return tally(given, right), predictions(given, right)


def counted(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return, on the device, the summed loss, float64 (), and how many are right, int64 (): the host need not wait.

    Each image's loss is rounded to a multiple of 2^-32: sums of such below 2^21 are exact in float64, and so the same
    in whatever order and parts images are counted.
    """
    losses = functional.cross_entropy(logits.double(), labels, reduction="none")
    return losses.mul_(LOSS_STEPS).round_().div_(LOSS_STEPS).sum(), (logits.argmax(1) == labels).sum()


def predictions(logits: Tensor, labels: Tensor) -> Predictions:
    """Turn logits (n, 10) and labels (n,) into saved predictions with their margins."""
    of_label = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(1, keepdim=True)
    return Predictions(
        labels=tuple(labels.tolist()),
        predictions=tuple(logits.argmax(1).tolist()),
        margins=tuple((of_label - others)[:, 0].tolist()),
    )
