"""The step written out by hand: what autograd would do, without its bookkeeping.

Engines that share it differ in who computes the matrix products, which is where nine tenths of the time go.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

import torch
from torch import Tensor

from mnist_bench.core.kinds import Activation
from mnist_bench.core.types import TrainConfig
from mnist_bench.model import Network
from mnist_bench.training._schedule import MaskStream
from mnist_bench.training.engines._engine import MOMENTS, RunningTally

aten = torch.ops.aten
BETAS, EPSILON = (0.9, 0.999), 1e-8  # PyTorch's defaults (Kingma and Ba 2015)
SETTLED, SETTLE_EVERY = 1e-30, 64  # in 64 steps an average falls to 1e-3 of itself, and 1e-33 is a normal number still


class MatmulBackend(Protocol):
    """The matrix products of a step, in float32; the next step may overwrite what they return."""

    def dense(self, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return inputs (n, i) through a layer with a weight (o, i) and a bias (o,): (n, o)."""
        ...

    def input_gradient(self, gradient: Tensor, weight: Tensor) -> Tensor:
        """Return the gradient (n, i) of a layer's inputs, given that of its output (n, o) and its weight (o, i)."""
        ...

    def weight_gradient(self, gradient: Tensor, inputs: Tensor) -> Tensor:
        """Return the gradient (o, i) of a layer's weight, given that of its output (n, o) and its inputs (n, i)."""
        ...


class ManualStep:
    """An `Engine` over some products."""

    def __init__(
        self, network: Network, images: Tensor, labels: Tensor, config: TrainConfig, products: MatmulBackend
    ) -> None:
        self.network = network
        self._activation: Activation = config.activation
        self._images, self._labels = images.flatten(1), labels
        self._config, self._products = config, products
        self._parameters = [parameter.data for parameter in network.parameters()]
        self._moments = {name: [torch.zeros_like(one) for one in self._parameters] for name in MOMENTS}
        self._step = torch.zeros((), device=images.device)
        self._inputs = self._images[: config.batch_size].clone()

    @torch.no_grad()
    def run(self, order: Tensor, masks: MaskStream, tally: RunningTally) -> Iterator[int]:
        """See `Engine.run`; yields after every step."""
        for indices in torch.split(order, self._config.batch_size):
            labels = self._labels.index_select(0, indices)
            images = torch.index_select(self._images, 0, indices, out=self._inputs[: len(indices)])
            self._update(self._gradients(images, labels, masks.draw(len(indices)), tally))
            yield len(indices)

    def _gradients(self, images: Tensor, labels: Tensor, mask: Tensor, tally: RunningTally) -> list[Tensor]:
        """Return the gradients in the order of the parameters; count the step."""
        use = self._products
        weight_1, bias_1, weight_2, bias_2, weight_3, bias_3 = self._parameters
        hidden_1 = self._activate(use.dense(images, weight_1, bias_1))
        dropped = hidden_1 * mask
        hidden_2 = self._activate(use.dense(dropped, weight_2, bias_2))
        logits = use.dense(hidden_2, weight_3, bias_3)
        tally.add(logits.clone(), labels)
        grad_logits = _of_logits(logits, labels)
        of_2 = self._through_activation(use.input_gradient(grad_logits, weight_3), hidden_2)
        of_1 = self._through_activation(use.input_gradient(of_2, weight_2).mul_(mask), hidden_1)
        layers = ((of_1, images), (of_2, dropped), (grad_logits, hidden_2))
        return [found for of, inputs in layers for found in (use.weight_gradient(of, inputs), of.sum(0))]

    def _update(self, gradients: list[Tensor]) -> None:
        """Take a step of Adam: the fused call that `torch.optim.Adam` makes, without what goes on around it."""
        averages, squares = (self._moments[name] for name in MOMENTS)
        self._step.add_(1)
        # Private, but what torch.optim.Adam(fused=True) itself calls.
        torch._fused_adam_(
            self._parameters,
            gradients,
            averages,
            squares,
            [],
            [self._step] * len(self._parameters),
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=self._config.learning_rate,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )
        if self._step.is_cpu and self._step.item() % SETTLE_EVERY == 0:
            self._settle()

    def _settle(self) -> None:
        """Set to zero the averages that no longer move anything, before they become subnormal numbers.

        Pixels that are dark for hundreds of steps leave averages that halve every seven, down to the least few
        float32 and no further; processors, unlike GPUs, are so slow with subnormal numbers that they would double
        Adam's time. All that an average of 1e-30 could still do is to move its weight by 1e-30 / (1 - 0.9) / 1e-8
        times the learning rate: with 0.001, less than a rounding of any weight above 1e-16. The averages of squares
        fall by a thousandth a step, and reach such numbers only after 60,000 dark steps: they are left.
        """
        for average in self._moments[MOMENTS[0]]:
            torch.hardshrink(average, SETTLED, out=average)

    def _activate(self, values: Tensor) -> Tensor:
        return values.clamp_min_(0) if self._activation == "relu" else values.sigmoid_()

    def _through_activation(self, gradient: Tensor, output: Tensor) -> Tensor:
        """Multiply a gradient by the activation's slope, known from its output, in place."""
        if self._activation == "relu":
            aten.threshold_backward.grad_input(gradient, output, 0, grad_input=gradient)
        else:
            aten.sigmoid_backward.grad_input(gradient, output, grad_input=gradient)
        return gradient

    def optimizer_state(self) -> dict[str, Tensor]:
        """See `Engine.optimizer_state`; before the first step all is zero."""
        names = [name for name, _ in self.network.named_parameters()]
        saved = {
            f"{name}.{moment}": value
            for moment in MOMENTS
            for name, value in zip(names, self._moments[moment], strict=True)
        }
        return saved | {"step": self._step}

    def restore(self, weights: Mapping[str, Tensor], optimizer_state: Mapping[str, Tensor]) -> None:
        """See `Engine.restore`."""
        self.network.load_state_dict(weights)  # into the tensors that are there
        self._step.copy_(optimizer_state["step"])
        for place, (name, _) in enumerate(self.network.named_parameters()):
            for moment in MOMENTS:
                self._moments[moment][place].copy_(optimizer_state[f"{name}.{moment}"])


def _of_logits(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of the logits for the mean cross-entropy: (softmax - one-hot) / n."""
    gradient = logits.softmax(1)
    minus = gradient.new_full((1, 1), -1.0).expand(len(labels), 1)
    return gradient.scatter_add_(1, labels[:, None], minus).div_(len(labels))
