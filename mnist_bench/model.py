"""The network: 784 → 512 → activation → dropout → 256 → activation → 10, logits out."""

import torch
from torch import Tensor, nn

from mnist_bench.core.architecture import CLASSES, HIDDEN_1, HIDDEN_2, PIXELS
from mnist_bench.core.kinds import Activation

ACTIVATIONS: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}


class Network(nn.Module):
    """The benchmark's multilayer perceptron, 535,818 parameters; softmax belongs to the loss.

    The parameters are `fc1.weight` (512, 784), `fc1.bias` (512,), `fc2.weight` (256, 512), `fc2.bias` (256,),
    `fc3.weight` (10, 256) and `fc3.bias` (10,), with PyTorch's default initialisation.
    """

    def __init__(self, activation: Activation = "relu", dropout: float = 0.2) -> None:
        super().__init__()
        self.fc1 = nn.Linear(PIXELS, HIDDEN_1)
        self.fc2 = nn.Linear(HIDDEN_1, HIDDEN_2)
        self.fc3 = nn.Linear(HIDDEN_2, CLASSES)
        self.activation = ACTIVATIONS[activation]()
        self.dropout = nn.Dropout(dropout)

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map images to logits.

        Args:
            image: float32 (n, 1, 28, 28), pixels in [0, 1].
            mask: float32 (n, 512), what the first hidden layer is multiplied by in place of the module's own dropout:
                0 for a dropped unit, 1 / (1 - dropout) for a kept one.

        Returns:
            float32 (n, 10).
        """
        hidden: Tensor = self.activation(self.fc1(image.flatten(1)))
        hidden = self.dropout(hidden) if mask is None else hidden * mask
        logits: Tensor = self.fc3(self.activation(self.fc2(hidden)))
        return logits


def create(activation: Activation, dropout: float, seed: int) -> Network:
    """Build a network whose initial weights depend on the seed alone: the same on every device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(activation, dropout)


def count_parameters(network: nn.Module) -> int:
    """Return how many numbers are trained."""
    return sum(parameter.numel() for parameter in network.parameters())
