"""A whole epoch, recorded once and replayed: the host says go, and does not wait for the device until it is done.

What a CUDA graph needs is here, and what records it is not, so that all of this runs without a GPU too: a recorder is
given the work of an epoch, and returns what does it again. The work reads and writes the same memory every time.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor

from mnist_bench.core.architecture import CLASSES, HIDDEN_1, HIDDEN_2
from mnist_bench.core.types import TrainConfig
from mnist_bench.model import Network
from mnist_bench.training._evaluate import counted
from mnist_bench.training._schedule import MaskStream
from mnist_bench.training.engines import _kernels
from mnist_bench.training.engines._engine import MOMENTS, RunningTally
from mnist_bench.training.engines._manual_step import BETAS, EPSILON, ManualStep

MOST_STEPS = 4096  # of a graph: with batches so small that an epoch has more, it is done step by step

Multiply = Callable[[Tensor, Tensor, Tensor], object]
"""Writes left (m, k) times right (k, n) into out (m, n), all float32."""

Work = Callable[[], None]


class Recorder(Protocol):
    """Records work, and lets parts of it run beside the rest."""

    def record(self, work: Work, generator: torch.Generator) -> Work:
        """Return what does the work, which draws other numbers of the generator each time.

        How often the work is done while it is recorded is the recorder's own affair.
        """
        ...

    def mark(self) -> Any:
        """Return a mark of all that was said until now."""
        ...

    def aside(self, lane: int, mark: Any) -> AbstractContextManager[object]:
        """Within it, what is said runs after what was said until the mark, and beside what was said since."""
        ...

    def join(self) -> None:
        """What is said now runs after all that was said aside."""
        ...


class Multiplied:
    """`MatmulBackend` by a multiplication, into buffers; for the steps that are not in the graph."""

    def __init__(self, multiply: Multiply) -> None:
        self._multiply = multiply

    def dense(self, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """See `MatmulBackend`."""
        return self._product(inputs, weight.t()).add_(bias)

    def input_gradient(self, gradient: Tensor, weight: Tensor) -> Tensor:
        """See `MatmulBackend`."""
        return self._product(gradient, weight)

    def weight_gradient(self, gradient: Tensor, inputs: Tensor) -> Tensor:
        """See `MatmulBackend`."""
        return self._product(gradient.t(), inputs)

    def _product(self, left: Tensor, right: Tensor) -> Tensor:
        out = left.new_empty(len(left), right.shape[1])
        self._multiply(left, right, out)
        return out


class Graphed(ManualStep):
    """The step by hand, an epoch at a time; the rest of an epoch that was stopped is done step by step."""

    def __init__(
        self,
        network: Network,
        images: Tensor,
        labels: Tensor,
        config: TrainConfig,
        multiply: Multiply,
        recorder: Recorder,
    ) -> None:
        super().__init__(network, images, labels, config, Multiplied(multiply))
        self._multiply, self._recorder = multiply, recorder
        self._flat, self._parameters = flattened(self._parameters)
        for parameter, value in zip(network.parameters(), self._parameters, strict=True):
            parameter.data = value
        self._flat_gradients, self._of = flattened(self._parameters)
        found = [flattened(self._moments[name]) for name in MOMENTS]
        self._flat_moments = [flat for flat, _ in found]
        self._moments = {name: views for name, (_, views) in zip(MOMENTS, found, strict=True)}
        self._order = torch.arange(len(labels), device=labels.device)
        self._masks = MaskStream(config.seed, 0, config.dropout, labels.device)
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=labels.device)
        self._correct = torch.zeros((), dtype=torch.int64, device=labels.device)
        self._replay: Work | None = None

    @torch.no_grad()
    def run(self, order: Tensor, masks: MaskStream, tally: RunningTally) -> Iterator[int]:
        """See `Engine.run`; yields once, after a whole epoch, and after every step of a part of one."""
        if len(order) != len(self._order) or len(order) > MOST_STEPS * self._config.batch_size:
            yield from super().run(order, masks, tally)
            return
        replay = self._replay = self._replay or self._recorded()
        self._order.copy_(order)
        self._masks.restore(masks.state())
        replay()
        masks.restore(self._masks.state())
        tally.loss_sum += self._loss_sum
        tally.correct += self._correct
        tally.images += len(order)
        yield len(order)

    def _recorded(self) -> Work:
        """Record an epoch; leave weights and moments as they were, in the memory in which they were."""
        changed = [self._flat, *self._flat_moments, self._step]
        kept = [one.clone() for one in changed]
        replay = self._recorder.record(self._go_through, self._masks.generator)
        for one, before in zip(changed, kept, strict=True):
            one.copy_(before)
        return replay

    def _go_through(self) -> None:
        """Take an epoch's steps; put what they came to into the memory from which `run` takes it."""
        images, labels = (one.index_select(0, self._order) for one in (self._images, self._labels))
        logits = images.new_empty(len(images), CLASSES)
        labels_of = torch.split(labels, self._config.batch_size)
        masks = self._masks.draw_each([len(part) for part in labels_of])
        others = (torch.split(whole, self._config.batch_size) for whole in (images, masks, logits))
        corrections = self._corrections(len(labels_of))
        rooms = {size: StepBuffers(images, size) for size in {len(part) for part in labels_of}}
        for correction, *parts in zip(corrections, labels_of, *others, strict=True):
            self._take(parts, rooms[len(parts[0])], correction)
        self._step.add_(len(labels_of))
        loss_sum, correct = counted(logits, labels)
        self._loss_sum.copy_(loss_sum)
        self._correct.copy_(correct)

    def _corrections(self, steps: int) -> Tensor:
        """Return Adam's corrections of the steps to come, float32 (steps, 2); see `_kernels.adam`."""
        numbers = self._step + torch.arange(1, steps + 1, device=self._step.device, dtype=torch.float64)
        averages, squares = (1 - beta**numbers for beta in BETAS)
        return torch.stack((1 / averages, squares.rsqrt()), 1).float()

    def _take(self, parts: list[Tensor], room: "StepBuffers", correction: Tensor) -> None:
        """Take a step: given labels, images and mask; writes logits. Gradients that no other waits for go aside."""
        labels, images, mask, logits = parts
        weight_1, bias_1, weight_2, bias_2, weight_3, bias_3 = self._parameters
        of_weight_1, of_bias_1, of_weight_2, *of_small = self._of
        multiply, recorder, activation = self._multiply, self._recorder, self._activation
        multiply(images, weight_1.t(), room.hidden_1)
        _kernels.hidden(room.hidden_1, bias_1, mask, room.dropped, activation)
        multiply(room.dropped, weight_2.t(), room.hidden_2)
        outputs = logits, room.grad_logits, room.of_2
        _kernels.head(room.hidden_2, weight_3, (bias_2, bias_3), labels, outputs, activation)
        mark = recorder.mark()
        multiply(room.of_2, weight_2, room.of_1)
        with recorder.aside(0, mark):
            multiply(room.of_2.t(), room.dropped, of_weight_2)
        with recorder.aside(1, mark):
            _kernels.small_gradients(room.grad_logits, room.hidden_2, room.of_2, *of_small)
        _kernels.through_hidden(room.of_1, room.hidden_1, mask, activation)
        mark = recorder.mark()
        multiply(room.of_1.t(), images, of_weight_1)
        with recorder.aside(1, mark):
            _kernels.column_sums(room.of_1, of_bias_1)
        recorder.join()
        values = self._flat, self._flat_gradients, *self._flat_moments
        _kernels.adam(values, correction, self._config.learning_rate, BETAS, EPSILON)


class StepBuffers:
    """Where a step of so many images keeps what lies between the images and the gradients."""

    def __init__(self, like: Tensor, size: int) -> None:
        self.hidden_1, self.dropped, self.of_1 = (like.new_empty(size, HIDDEN_1) for _ in range(3))
        self.hidden_2, self.of_2 = (like.new_empty(size, HIDDEN_2) for _ in range(2))
        self.grad_logits = like.new_empty(size, CLASSES)


def flattened(tensors: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Return a copy of some tensors in one piece of memory, and their views into it."""
    flat = torch.cat([one.flatten() for one in tensors])
    parts = torch.split(flat, [one.numel() for one in tensors])
    return flat, [part.view_as(one) for part, one in zip(parts, tensors, strict=True)]
