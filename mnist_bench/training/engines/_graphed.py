"""A whole epoch, recorded once and replayed: the host says go, and does not wait for the device until it is done.

What a CUDA graph needs is here, and what records it is not, so that all of this runs without a GPU too: a recorder is
given the work of an epoch, and returns what does it again. The work reads and writes the same memory every time.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from mnist_bench.core.types import Tally, TrainConfig
from mnist_bench.model import Network
from mnist_bench.training._schedule import MaskStream
from mnist_bench.training.engines._by_hand import ByHand, Products
from mnist_bench.training.engines._engine import RunningTally

WARM_UP_STEPS = 3  # full ones; libraries choose their kernels and allocate their workspaces in the first

Work = Callable[[], None]
Recorder = Callable[[Work, Work, torch.Generator], Work]
"""Is given what to do before recording, the work, and the generator whose numbers the work draws, anew at each replay.
Returns what does the work. Whether it does the work while recording it is its own affair."""


class Graphed(ByHand):
    """The step by hand, an epoch at a time; the rest of an epoch that was stopped is done step by step."""

    def __init__(
        self,
        network: Network,
        images: Tensor,
        labels: Tensor,
        config: TrainConfig,
        products: Products,
        record: Recorder,
    ) -> None:
        super().__init__(network, images, labels, config, products)
        self._record = record
        self._order = torch.arange(len(labels), device=labels.device)
        self._masks = MaskStream(config.seed, 0, config.dropout, labels.device)
        self._counted = RunningTally.start(Tally(), labels.device)
        self._replay: Work | None = None

    @torch.no_grad()
    def run(self, order: Tensor, masks: MaskStream, tally: RunningTally) -> Iterator[int]:
        """See `Engine.run`; yields once, after a whole epoch, and after every step of a part of one."""
        if len(order) != len(self._order):
            yield from super().run(order, masks, tally)
            return
        replay = self._replay = self._replay or self._recorded()
        self._order.copy_(order)
        self._masks.restore(masks.state())
        self._counted.loss_sum.zero_()
        self._counted.correct.zero_()
        replay()
        masks.restore(self._masks.state())
        tally.loss_sum += self._counted.loss_sum
        tally.correct += self._counted.correct
        tally.images += len(order)
        yield len(order)

    def _recorded(self) -> Work:
        """Record an epoch; leave weights and moments as they were, in the memory in which they were."""
        changed = [*self._parameters, *(one for group in self._moments.values() for one in group), *self._steps]
        kept = [one.clone() for one in changed]
        size = self._config.batch_size
        first, rest = self._order[: WARM_UP_STEPS * size], self._order[len(self._order) // size * size :]
        replay = self._record(
            lambda: self._go_through(torch.cat((first, rest))),
            lambda: self._go_through(self._order),
            self._masks.generator,
        )
        for one, before in zip(changed, kept, strict=True):
            one.copy_(before)
        return replay

    def _go_through(self, order: Tensor) -> None:
        for _ in super().run(order, self._masks, self._counted):
            pass
        self._counted.settle()
