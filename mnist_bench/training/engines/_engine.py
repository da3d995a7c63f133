"""What every engine offers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from mnist_bench.core.types import Tally
from mnist_bench.model import Network
from mnist_bench.training._evaluate import counted
from mnist_bench.training._schedule import MaskStream

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What Adam keeps of each parameter."""


@dataclass
class RunningTally:
    """A tally that stays on the device while an epoch runs, so that no step waits for the host.

    `loss_sum` float64 and `correct` int64, both of shape (), hold what was settled; the logits of the steps since are
    kept, 40 bytes an image, and counted all at once.
    """

    loss_sum: Tensor
    correct: Tensor
    images: int
    _kept: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    @classmethod
    def start(cls, tally: Tally, device: torch.device | str) -> "RunningTally":
        """Go on counting from a tally."""
        return cls(
            torch.tensor(tally.loss_sum, dtype=torch.float64, device=device),
            torch.tensor(tally.correct, dtype=torch.int64, device=device),
            tally.images,
        )

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Count a step: its logits (n, 10) and its labels (n,), which must stay as they are until all is settled."""
        self._kept.append((logits, labels))
        self.images += len(labels)

    def settle(self) -> None:
        """Count what was kept."""
        if self._kept:
            logits, labels = (torch.cat(parts) for parts in zip(*self._kept, strict=True))
            self._kept.clear()
            loss_sum, correct = counted(logits, labels)
            self.loss_sum += loss_sum
            self.correct += correct

    def read(self) -> Tally:
        """Wait for the device and return the numbers."""
        self.settle()
        return Tally(loss_sum=self.loss_sum.item(), correct=int(self.correct.item()), images=self.images)


class Engine(Protocol):
    """Executes training steps on one network with one optimizer.

    An engine module has `create(network, images, labels, config)`, where `images` is float32 (n, 1, 28, 28) and
    `labels` int64 (n,), both on the network's device.
    """

    @property
    def network(self) -> Network:
        """Its parameters are current whenever `run` is not executing a step."""
        ...

    def run(self, order: Tensor, masks: MaskStream, tally: RunningTally) -> Iterator[int]:
        """Train on the images at the indices `order` (int64, on the device), a batch a step.

        Each step adds to `tally`; after one or more steps the number of images done since is yielded, and the
        caller may stop there.
        """
        ...

    def optimizer_state(self) -> dict[str, Tensor]:
        """Return Adam's state: `step` () and, per parameter, `NAME.exp_avg` and `NAME.exp_avg_sq`, all float32."""
        ...

    def restore(self, weights: Mapping[str, Tensor], optimizer_state: Mapping[str, Tensor]) -> None:
        """Take over saved weights and optimizer state."""
        ...
