"""PyTorch as it comes: autograd, one fused Adam call a step, data resident on the device, no synchronisation."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import TrainConfig
from mnist_bench.model import Network
from mnist_bench.training._schedule import MaskStream
from mnist_bench.training.engines._engine import MOMENTS, Engine, RunningTally

DEVICES, PRECISION = ("cpu", "cuda"), "fp32"


def why_unavailable() -> Skipped | None:
    """It is wherever torch is."""
    return None


class EagerEngine:
    """See the module; the contract is `Engine`."""

    def __init__(self, network: Network, images: Tensor, labels: Tensor, config: TrainConfig) -> None:
        self.network = network
        self.optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
        self._images, self._labels = images, labels
        self._batch_size = config.batch_size

    def run(self, order: Tensor, masks: MaskStream, tally: RunningTally) -> Iterator[int]:
        """See `Engine.run`; yields after every step."""
        for indices in torch.split(order, self._batch_size):
            self._step(self._images.index_select(0, indices), self._labels.index_select(0, indices), masks, tally)
            yield len(indices)

    def _step(self, images: Tensor, labels: Tensor, masks: MaskStream, tally: RunningTally) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.network(images, masks.draw(len(labels)))
        loss = functional.cross_entropy(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        tally.add(logits.detach(), labels)

    def optimizer_state(self) -> dict[str, Tensor]:
        """See `Engine.optimizer_state`; before the first step all is zero."""
        named = dict(self.network.named_parameters())
        states = {name: self.optimizer.state.get(parameter, {}) for name, parameter in named.items()}
        saved = {
            f"{name}.{moment}": state.get(moment, torch.zeros_like(named[name]))
            for name, state in states.items()
            for moment in MOMENTS
        }
        return saved | {"step": states["fc1.weight"].get("step", torch.zeros(()))}

    def restore(self, weights: Mapping[str, Tensor], optimizer_state: Mapping[str, Tensor]) -> None:
        """See `Engine.restore`."""
        self.network.load_state_dict(weights)
        state = {
            index: {"step": optimizer_state["step"].clone()}
            | {moment: optimizer_state[f"{name}.{moment}"] for moment in MOMENTS}
            for index, (name, _) in enumerate(self.network.named_parameters())
        }
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})


def create(network: Network, images: Tensor, labels: Tensor, config: TrainConfig) -> Engine:
    """Build the engine; see `Engine`."""
    return EagerEngine(network, images, labels, config)
