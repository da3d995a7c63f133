"""The step written out by hand, in buffers that are allocated once; parameters, gradients and moments lie flat.

Autograd allocates 5 MB of gradients and activations at every step, which the system gives and takes back page by page;
here only the mask and some small tensors of the loss are new at every step, and Adam is one call on one tensor.
"""

from collections.abc import Iterator, Mapping
from itertools import accumulate

import torch
from torch import Tensor, nn

from mnist_bench.core.architecture import CLASSES, HIDDEN_1, HIDDEN_2, PIXELS
from mnist_bench.core.types import Activation, TrainConfig
from mnist_bench.model import Network
from mnist_bench.training._schedule import MaskStream
from mnist_bench.training.engines._engine import MOMENTS, Engine, RunningTally

aten = torch.ops.aten


class PreallocatedEngine:
    """See the module; the contract is `Engine`."""

    def __init__(self, network: Network, images: Tensor, labels: Tensor, config: TrainConfig) -> None:
        self.network = network
        self._activation: Activation = config.activation
        self._images, self._labels = images.flatten(1), labels
        self._batch_size = config.batch_size
        self._flat = _flatten(network)
        self.optimizer = torch.optim.Adam([self._flat], lr=config.learning_rate, fused=True)
        self._flat.grad = torch.zeros_like(self._flat)
        self._gradients = _views(self._flat.grad, network)
        widths = {"x": PIXELS, "h1": HIDDEN_1, "d1": HIDDEN_1, "h2": HIDDEN_2, "logits": CLASSES}
        widths |= {"g1": HIDDEN_1, "g2": HIDDEN_2, "g3": CLASSES}
        size = min(config.batch_size, len(labels))
        self._buffers = {name: images.new_empty(size, width) for name, width in widths.items()}

    @torch.no_grad()
    def run(self, order: Tensor, masks: MaskStream, tally: RunningTally) -> Iterator[int]:
        """See `Engine.run`; yields after every step."""
        for indices in torch.split(order, self._batch_size):
            labels = self._labels.index_select(0, indices)
            mask = masks.draw(len(indices))
            buffers = {name: buffer[: len(indices)] for name, buffer in self._buffers.items()}
            torch.index_select(self._images, 0, indices, out=buffers["x"])
            self._forward(buffers, mask)
            self._backward(buffers, mask, labels, tally)
            self.optimizer.step()
            yield len(indices)

    def _forward(self, b: dict[str, Tensor], mask: Tensor) -> None:
        """Fill the activations: h1 before dropout, d1 after it, h2, and the logits."""
        network = self.network
        torch.addmm(network.fc1.bias, b["x"], network.fc1.weight.t(), out=b["h1"])
        self._activate(b["h1"])
        torch.mul(b["h1"], mask, out=b["d1"])
        torch.addmm(network.fc2.bias, b["d1"], network.fc2.weight.t(), out=b["h2"])
        self._activate(b["h2"])
        torch.addmm(network.fc3.bias, b["h2"], network.fc3.weight.t(), out=b["logits"])

    def _backward(self, b: dict[str, Tensor], mask: Tensor, labels: Tensor, tally: RunningTally) -> None:
        """Count the loss and fill the gradients; g1, g2 and g3 are those of each layer's output."""
        log_probabilities = b["logits"].log_softmax(1)
        column = labels[:, None]
        tally.add(-log_probabilities.gather(1, column).mean(), b["logits"], labels)
        torch.exp(log_probabilities, out=b["g3"])  # d(mean cross-entropy)/d(logits) = (softmax - one-hot) / n
        b["g3"].scatter_add_(1, column, b["g3"].new_full((1, 1), -1.0).expand(len(labels), 1)).div_(len(labels))
        self._layer_gradients("fc3", b["g3"], b["h2"])
        torch.mm(b["g3"], self.network.fc3.weight, out=b["g2"])
        self._through_activation(b["g2"], b["h2"])
        self._layer_gradients("fc2", b["g2"], b["d1"])
        torch.mm(b["g2"], self.network.fc2.weight, out=b["g1"]).mul_(mask)
        self._through_activation(b["g1"], b["h1"])
        self._layer_gradients("fc1", b["g1"], b["x"])

    def _layer_gradients(self, layer: str, output_gradient: Tensor, inputs: Tensor) -> None:
        torch.mm(output_gradient.t(), inputs, out=self._gradients[f"{layer}.weight"])
        torch.sum(output_gradient, 0, out=self._gradients[f"{layer}.bias"])

    def _activate(self, values: Tensor) -> None:
        if self._activation == "relu":
            values.clamp_min_(0)
        else:
            values.sigmoid_()

    def _through_activation(self, gradient: Tensor, output: Tensor) -> None:
        """Multiply a gradient by the activation's slope, known from its output."""
        if self._activation == "relu":
            aten.threshold_backward.grad_input(gradient, output, 0, grad_input=gradient)
        else:
            aten.sigmoid_backward.grad_input(gradient, output, grad_input=gradient)

    def optimizer_state(self) -> dict[str, Tensor]:
        """See `Engine.optimizer_state`; before the first step all is zero."""
        state = self.optimizer.state.get(self._flat, {})
        saved = {
            f"{name}.{moment}": view
            for moment in MOMENTS
            for name, view in _views(state.get(moment, torch.zeros_like(self._flat)), self.network).items()
        }
        return saved | {"step": state.get("step", torch.zeros(()))}

    def restore(self, weights: Mapping[str, Tensor], optimizer_state: Mapping[str, Tensor]) -> None:
        """See `Engine.restore`."""
        self.network.load_state_dict(weights)
        names = [name for name, _ in self.network.named_parameters()]
        moments = {
            moment: torch.cat([optimizer_state[f"{name}.{moment}"].flatten() for name in names]) for moment in MOMENTS
        }
        state = {0: {"step": optimizer_state["step"].clone(), **moments}}
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})


def _flatten(network: Network) -> nn.Parameter:
    """Move a network's parameters into one flat tensor, of which they are views from then on."""
    flat = nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in network.parameters()]))
    for parameter, view in zip(network.parameters(), _views(flat.data, network).values(), strict=True):
        parameter.data = view
    return flat


def _views(flat: Tensor, network: Network) -> dict[str, Tensor]:
    """Return the parts of a flat tensor that belong to each parameter, in its shape."""
    named = dict(network.named_parameters())
    ends = accumulate(parameter.numel() for parameter in named.values())
    return {
        name: flat[end - parameter.numel() : end].view(parameter.shape)
        for (name, parameter), end in zip(named.items(), ends, strict=True)
    }


def create(network: Network, images: Tensor, labels: Tensor, config: TrainConfig) -> Engine:
    """Build the engine; see `Engine`."""
    return PreallocatedEngine(network, images, labels, config)
