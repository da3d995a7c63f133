"""The engine that records an epoch: all but the CUDA graph itself, by a recorder that does the work again; and that."""

import pytest
import torch
from torch import Tensor

from mnist_bench import data, model
from mnist_bench.core.types import Tally, TrainConfig
from mnist_bench.training._schedule import MaskStream, epoch_order
from mnist_bench.training.engines import cuda_graph, cuda_graph_bf16, cuda_graph_tf32, preallocated
from mnist_bench.training.engines._by_hand import ByHand
from mnist_bench.training.engines._engine import Engine, RunningTally
from mnist_bench.training.engines._graphed import Graphed, Work
from tests.training.test_engines import tensors

CONFIG = TrainConfig(dataset="digits", batch_size=64)
EPOCHS = 3
on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")


class Recorder:
    """Does the work while it records, as a graph would not, so that what is put back afterwards is put to the test."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def __call__(self, warm_up: Work, work: Work, generator: torch.Generator) -> Work:
        self.recorded += 1
        warm_up()
        work()

        def replay() -> None:
            self.replayed += 1
            work()

        return replay


def on(device: str, digits: data.Dataset) -> tuple[model.Network, Tensor, Tensor]:
    images, labels = tensors(digits)
    return model.create("relu", 0.2, 7).to(device), images.to(device), labels.to(device)


def by_hand(digits: data.Dataset) -> Engine:
    return ByHand(*on("cpu", digits), CONFIG, preallocated.TorchProducts())


def train(engine: Engine, images: int, epochs: range = range(1, EPOCHS + 1)) -> list[tuple[Tally, list[int], Tensor]]:
    """Return, epoch by epoch, what was counted, the images done at each yield, and where the masks stand then."""
    found = []
    device = next(engine.network.parameters()).device
    for epoch in epochs:
        masks, tally = MaskStream(3, epoch, 0.2, device), RunningTally.start(Tally(), device)
        done = list(engine.run(epoch_order(3, epoch, images).to(device), masks, tally))
        found.append((tally.read(), done, masks.state()))
    return found


def assert_same(one: Engine, other: Engine) -> None:
    own, others = ({**each.network.state_dict(), **each.optimizer_state()} for each in (one, other))
    for name, tensor in own.items():
        assert torch.equal(tensor, others[name]), name


def test_replayed_epochs_are_those_taken_step_by_step(digits: data.Dataset) -> None:
    count, record = len(digits.train), Recorder()
    assert count % CONFIG.batch_size  # the last batch is short
    graphed, stepped = Graphed(*on("cpu", digits), CONFIG, preallocated.TorchProducts(), record), by_hand(digits)
    for (tally, done, masks), (expected, _, expected_masks) in zip(
        train(graphed, count), train(stepped, count), strict=True
    ):
        assert (tally.images, tally.correct) == (expected.images, expected.correct)
        assert tally.loss_sum == pytest.approx(expected.loss_sum, rel=1e-12)
        assert done == [count]
        assert torch.equal(masks, expected_masks)
    assert (record.recorded, record.replayed) == (1, EPOCHS)
    assert_same(graphed, stepped)


def test_the_rest_of_an_epoch_and_what_was_restored_go_on_as_if_nothing_had_happened(digits: data.Dataset) -> None:
    count, stop = len(digits.train), 5 * CONFIG.batch_size
    whole = by_hand(digits)
    train(whole, count)
    stopped, order = by_hand(digits), epoch_order(3, 1, count)
    masks = MaskStream(3, 1, 0.2, "cpu")
    list(stopped.run(order[:stop], masks, RunningTally.start(Tally(), "cpu")))
    resumed = Graphed(*on("cpu", digits), CONFIG, preallocated.TorchProducts(), Recorder())
    resumed.restore(stopped.network.state_dict(), stopped.optimizer_state())
    assert len(list(resumed.run(order[stop:], masks, RunningTally.start(Tally(), "cpu")))) > 1
    train(resumed, count, range(2, EPOCHS + 1))
    assert_same(resumed, whole)


def test_what_a_graph_reads_is_put_into_the_memory_that_it_reads(digits: data.Dataset) -> None:
    count = len(digits.train)
    graphed = Graphed(*on("cpu", digits), CONFIG, preallocated.TorchProducts(), Recorder())
    train(graphed, count, range(1, 2))
    before = [tensor.data_ptr() for tensor in (*graphed.network.parameters(), *graphed.optimizer_state().values())]
    graphed.restore(graphed.network.state_dict(), {k: v.clone() for k, v in graphed.optimizer_state().items()})
    train(graphed, count, range(2, 3))
    after = [tensor.data_ptr() for tensor in (*graphed.network.parameters(), *graphed.optimizer_state().values())]
    assert before == after


def test_products_rounded_to_bfloat16_are_near_and_float32() -> None:
    exactly, rounded = preallocated.TorchProducts(), cuda_graph_bf16.RoundedProducts()
    inputs, weight, bias, gradient = (torch.randn(size) for size in ((16, 40), (24, 40), (24,), (16, 24)))
    arguments = {
        "dense": (inputs, weight, bias),
        "input_gradient": (gradient, weight),
        "weight_gradient": (gradient, inputs),
    }
    for name, given in arguments.items():
        expected, found = getattr(exactly, name)(*given), getattr(rounded, name)(*given)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=0.05, atol=0.2)
        assert not torch.equal(found, expected)


def test_without_a_gpu_they_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for module in (cuda_graph, cuda_graph_bf16, cuda_graph_tf32):
        assert "no CUDA device" in str(module.why_unavailable())


@on_cuda
def test_a_cuda_graph_trains_as_the_steps_do(digits: data.Dataset) -> None:
    count = len(digits.train)
    graphed = cuda_graph.create(*on("cuda", digits), CONFIG)
    stepped = preallocated.create(*on("cuda", digits), CONFIG)
    for (tally, _, masks), (expected, _, expected_masks) in zip(
        train(graphed, count), train(stepped, count), strict=True
    ):
        assert tally.loss_sum == pytest.approx(expected.loss_sum, rel=1e-4)
        assert torch.equal(masks, expected_masks)
    for name, weight in graphed.network.state_dict().items():
        torch.testing.assert_close(weight, stepped.network.state_dict()[name], rtol=1e-4, atol=5e-4)


@on_cuda
@pytest.mark.parametrize("module", [cuda_graph_bf16, cuda_graph_tf32])
def test_labelled_engines_are_near_the_protocol(module: object, digits: data.Dataset) -> None:
    count = len(digits.train)
    create = module.create  # type: ignore[attr-defined]
    rough, exactly = (one(*on("cuda", digits), CONFIG) for one in (create, cuda_graph.create))
    losses = [train(engine, count)[-1][0].loss for engine in (rough, exactly)]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
