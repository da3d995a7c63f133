"""The step in C: what holds of it alone."""

import pytest
import torch

from mnist_bench import data, model
from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import Activation
from mnist_bench.core.types import Tally, TrainConfig
from mnist_bench.training._schedule import MaskStream
from mnist_bench.training.engines import _compiled, eager, sparse
from mnist_bench.training.engines._engine import RunningTally
from tests import nearness

pytestmark = [
    pytest.mark.processors,
    pytest.mark.skipif(_compiled.no_compiler("sparse") is not None, reason="there is no C compiler"),
]


def images_of(digits: data.Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(data.to_input(digits.train.pixels)), torch.from_numpy(digits.train.labels).long()


def trained(
    create: sparse.Create,
    digits: data.Dataset,
    activation: Activation = "relu",
    batch: int = 64,
    threads: int = 2,
    stops: tuple[int, ...] = (),
    images: int = 700,
) -> dict[str, torch.Tensor]:
    """Train an epoch of the first images; return the weights and what is kept of them, and the sum of losses."""
    config = TrainConfig(activation=activation, batch_size=batch, threads=threads)
    engine = create(model.create(activation, 0.2, 7), *images_of(digits), config)
    order = torch.randperm(images, generator=torch.Generator().manual_seed(1))
    tally, masks = RunningTally.start(Tally(), "cpu"), MaskStream(0, 1, 0.2, "cpu")
    for part in torch.tensor_split(order, [stop * batch for stop in stops]):
        assert sum(engine.run(part, masks, tally)) == len(part)
    found = {name: value.clone() for name, value in engine.network.state_dict().items()}
    return {**found, **engine.optimizer_state(), "loss": torch.tensor(tally.read().loss_sum)}


@pytest.mark.parametrize("activation", sparse.ANSWERS)
def test_neither_threads_nor_stops_change_a_bit(activation: Activation, digits: data.Dataset) -> None:
    whole = trained(sparse.create, digits, activation)
    for other in (
        trained(sparse.create, digits, activation, threads=1),
        trained(sparse.create, digits, activation, threads=5),
        trained(sparse.create, digits, activation, stops=(1, 3, 4)),
    ):
        for name, value in whole.items():
            assert torch.equal(value, other[name]), name


@pytest.mark.parametrize("batch", [1, 7, 500])
@pytest.mark.parametrize("activation", sparse.ANSWERS)
def test_any_batch_is_trained_as_the_eager_engine_does(
    activation: Activation, batch: int, digits: data.Dataset
) -> None:
    start = model.create(activation, 0.2, 7).state_dict()
    images = min(40 * batch + 1, 700)  # the last batch is short
    found, expected = (
        {name: value for name, value in weights.items() if name in start}
        for weights in (trained(one, digits, activation, batch, images=images) for one in (sparse.create, eager.create))
    )
    assert nearness.drift(found, expected, start) < nearness.SAME


def test_images_that_were_no_bytes_are_refused(digits: data.Dataset) -> None:
    images, labels = images_of(digits)
    with pytest.raises(BadInput, match="images that were bytes"):
        sparse.create(model.create("relu", 0.2, 7), images / 3, labels, TrainConfig())


def test_a_training_that_diverges_is_seen(digits: data.Dataset) -> None:
    images, labels = images_of(digits)
    network = model.create("relu", 0.2, 7)
    with torch.no_grad():
        network.fc2.weight[3, 5] = torch.nan
    engine = sparse.create(network, images, labels, TrainConfig())
    tally = RunningTally.start(Tally(), "cpu")
    assert sum(engine.run(torch.arange(256), MaskStream(0, 1, 0.2, "cpu"), tally)) == 256
    assert tally.read().loss_sum != tally.read().loss_sum
    assert engine.network.state_dict()["fc2.weight"].isnan().any()
