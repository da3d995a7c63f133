"""The eager step over several processes, each of which has a part of every batch; DDP averages their gradients.

Each process draws the mask of the whole batch and takes its rows, so that N processes train as one does. Its loss is
the sum over its part, divided by the images of the whole batch and times the number of processes: the average is then
the batch's mean loss, whatever the sizes of the parts; one may be empty. Without a process group it trains alone.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import TrainConfig
from mnist_bench.model import Network
from mnist_bench.training._schedule import MaskStream
from mnist_bench.training.engines._engine import Engine, RunningTally
from mnist_bench.training.engines.eager import EagerEngine

DEVICES, PRECISION = ("cpu", "cuda"), "fp32"
STEPS_A_YIELD = 16
"""The tallies are added up, and the processes ask each other whether to stop, this seldom: both cost a round trip."""


def why_unavailable() -> Skipped | None:
    """In one process it is no engine to choose, nor one to compare with those that are made for one."""
    if dist.is_initialized():
        return None
    remedy = "start it with torchrun --nproc-per-node=N -m mnist_bench train"
    return Skipped("distributed", "it shares the work of several processes, and this is one", remedy)


class DistributedEngine(EagerEngine):
    """See the module; the contract is `Engine`."""

    def __init__(self, network: Network, images: Tensor, labels: Tensor, config: TrainConfig) -> None:
        super().__init__(network, images, labels, config)
        self._rank, self._size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self._model: nn.Module = network
        if dist.is_initialized():
            self._model = DistributedDataParallel(network, gradient_as_bucket_view=True)

    def run(self, order: Tensor, masks: MaskStream, tally: RunningTally) -> Iterator[int]:
        """See `Engine.run`; yields after several steps."""
        batches = torch.split(order, self._batch_size)
        for start in range(0, len(batches), STEPS_A_YIELD):
            yield self._steps(batches[start : start + STEPS_A_YIELD], masks, tally)

    def _steps(self, batches: Sequence[Tensor], masks: MaskStream, tally: RunningTally) -> int:
        """Take some steps, and add to the tally what all processes have counted."""
        found = torch.stack([self._part_of_step(indices, masks) for indices in batches]).sum(0)
        if dist.is_initialized():
            dist.all_reduce(found)
        images = sum(len(indices) for indices in batches)
        tally.loss_sum += found[0]
        tally.correct += found[1].long()
        tally.images += images
        return images

    def _part_of_step(self, batch: Tensor, masks: MaskStream) -> Tensor:
        """Take a step; return this process's sum of losses and number of right predictions, float64 (2,)."""
        indices, mask = (torch.tensor_split(whole, self._size)[self._rank] for whole in (batch, masks.draw(len(batch))))
        labels = self._labels.index_select(0, indices)
        self.optimizer.zero_grad(set_to_none=True)
        logits = self._model(self._images.index_select(0, indices), mask)
        loss_sum = functional.cross_entropy(logits, labels, reduction="sum")
        (loss_sum * (self._size / len(batch))).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return torch.stack([loss_sum.detach().double(), (logits.argmax(1) == labels).sum().double()])


def create(network: Network, images: Tensor, labels: Tensor, config: TrainConfig) -> Engine:
    """Build the engine; see `Engine`."""
    return DistributedEngine(network, images, labels, config)
