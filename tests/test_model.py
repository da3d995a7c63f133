import numpy as np
import pytest
import torch
from torch import nn

from mnist_bench import model
from mnist_bench.core.kinds import Activation


def test_the_network_is_as_specified() -> None:
    shapes = {name: tuple(value.shape) for name, value in model.Network().state_dict().items()}
    assert shapes == {
        "fc1.weight": (512, 784),
        "fc1.bias": (512,),
        "fc2.weight": (256, 512),
        "fc2.bias": (256,),
        "fc3.weight": (10, 256),
        "fc3.bias": (10,),
    }
    assert model.count_parameters(model.Network()) == 535_818


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_a_notebook_s_network_gives_the_same_logits(activation: Activation) -> None:
    class Notebook(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2, self.fc3 = nn.Linear(784, 512), nn.Linear(512, 256), nn.Linear(256, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            function = torch.relu if activation == "relu" else torch.sigmoid
            logits: torch.Tensor = self.fc3(function(self.fc2(function(self.fc1(x.view(-1, 784))))))
            return logits

    notebook, network = Notebook(), model.Network(activation).eval()
    network.load_state_dict(notebook.state_dict())
    images = torch.rand(7, 1, 28, 28)
    torch.testing.assert_close(network(images), notebook(images), rtol=0, atol=0)


def test_initialisation_is_pytorch_s_and_depends_on_the_seed_alone() -> None:
    torch.manual_seed(5)
    plain = [nn.Linear(784, 512), nn.Linear(512, 256), nn.Linear(256, 10)]
    torch.manual_seed(99)
    before = torch.get_rng_state()
    network = model.create("relu", 0.2, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    for ours, theirs in zip((network.fc1, network.fc2, network.fc3), plain, strict=True):
        assert torch.equal(ours.weight, theirs.weight)
        assert torch.equal(ours.bias, theirs.bias)
    assert not torch.equal(network.fc1.weight, model.create("relu", 0.2, seed=6).fc1.weight)


def test_a_mask_takes_the_place_of_dropout() -> None:
    network = model.Network("relu", dropout=0.5).train()
    images, mask = torch.rand(3, 1, 28, 28), torch.zeros(3, 512)
    logits = network(images, mask)
    expected = network.fc3(torch.relu(network.fc2.bias)).expand(3, 10)
    np.testing.assert_allclose(logits.detach(), expected.detach(), rtol=1e-6)
