"""The engine that records an epoch: all but the CUDA graph itself, by a recorder that does the work again; and that.

Without a GPU, Triton's interpreter runs its kernels, slowly: a few images, few steps.
"""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest
import torch
from msgspec.structs import replace
from torch import Tensor

from mnist_bench import data, model
from mnist_bench.core.kinds import Activation
from mnist_bench.core.types import Tally, TrainConfig
from mnist_bench.training import engines
from mnist_bench.training._schedule import MaskStream, epoch_order
from mnist_bench.training.engines import cuda_graph, cuda_graph_tf32, preallocated
from mnist_bench.training.engines._engine import Engine, RunningTally
from mnist_bench.training.engines._manual_step import ManualStep
from tests import nearness
from tests.training.test_engines import tensors

CONFIG = TrainConfig(dataset="digits", batch_size=64)
EPOCHS, IMAGES = 2, 150  # the last batch is short
pytestmark = pytest.mark.processors


@pytest.fixture
def graphed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, its kernels interpreted (see conftest), in few large blocks."""
    if torch.cuda.is_available():
        pytest.skip("Triton compiles its kernels here")
    pytest.importorskip("triton")
    module = importlib.import_module(f"{engines.__name__}._graphed")
    monkeypatch.setattr(module._kernels, "BLOCK", 1 << 16)
    return module


class Recorder:
    """Does the work while it records, as a graph would not, so that what is put back afterwards is put to the test."""

    def __init__(self) -> None:
        self.recorded = self.replayed = self.open = 0

    def record(self, work: Callable[[], None], generator: object) -> Callable[[], None]:
        self.recorded += 1
        work()

        def replay() -> None:
            self.replayed += 1
            work()

        return replay

    def mark(self) -> None:
        """All is done in the order in which it is said."""

    @contextmanager
    def aside(self, lane: int, mark: None) -> Iterator[None]:
        self.open += 1
        yield

    def join(self) -> None:
        self.open = 0


def multiply(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    return torch.mm(left, right, out=out)


def on(device: str, digits: data.Dataset, activation: Activation = "relu") -> tuple[model.Network, Tensor, Tensor]:
    images, labels = tensors(digits)
    if device == "cpu":
        images, labels = images[:IMAGES], labels[:IMAGES]
    return model.create(activation, 0.2, 7).to(device), images.to(device), labels.to(device)


def by_hand(digits: data.Dataset, config: TrainConfig = CONFIG) -> Engine:
    return ManualStep(*on("cpu", digits, config.activation), config, preallocated.TorchProducts())


def train(engine: Engine, images: int, epochs: range = range(1, EPOCHS + 1)) -> list[tuple[Tally, list[int], Tensor]]:
    """Return, epoch by epoch, what was counted, the images done at each yield, and where the masks stand then."""
    found = []
    device = next(engine.network.parameters()).device
    for epoch in epochs:
        masks, tally = MaskStream(3, epoch, 0.2, device), RunningTally.start(Tally(), device)
        done = list(engine.run(epoch_order(3, epoch, images).to(device), masks, tally))
        found.append((tally.read(), done, masks.state()))
    return found


def state(engine: Engine) -> dict[str, Tensor]:
    return {**engine.network.state_dict(), **engine.optimizer_state()}


def assert_near(one: Engine, other: Engine, activation: Activation = "relu") -> None:
    start = model.create(activation, 0.2, 7).state_dict()
    assert nearness.drift(one.network.state_dict(), other.network.state_dict(), start) < nearness.SAME
    moments, expected = one.optimizer_state(), other.optimizer_state()
    assert nearness.drift(moments, expected, nearness.zeros(expected)) < nearness.SAME


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_replayed_epochs_are_those_taken_step_by_step(
    graphed: ModuleType, activation: Activation, digits: data.Dataset
) -> None:
    config, record = replace(CONFIG, activation=activation), Recorder()
    assert IMAGES % config.batch_size  # the last batch is short
    recorded = graphed.Graphed(*on("cpu", digits, activation), config, multiply, record)
    stepped = by_hand(digits, config)
    for (tally, done, masks), (expected, _, expected_masks) in zip(
        train(recorded, IMAGES), train(stepped, IMAGES), strict=True
    ):
        assert (tally.images, tally.correct) == (expected.images, expected.correct)
        assert tally.loss_sum == pytest.approx(expected.loss_sum, rel=1e-5)
        assert done == [IMAGES]
        assert torch.equal(masks, expected_masks)
    assert (record.recorded, record.replayed, record.open) == (1, EPOCHS, 0)
    assert_near(recorded, stepped, activation)


def test_the_comparison_can_fail(graphed: ModuleType, digits: data.Dataset) -> None:
    recorded = graphed.Graphed(*on("cpu", digits), replace(CONFIG, learning_rate=0.00101), multiply, Recorder())
    stepped = by_hand(digits)
    for engine in (recorded, stepped):
        train(engine, IMAGES, range(1, 2))
    with pytest.raises(AssertionError):
        assert_near(recorded, stepped)


def test_the_rest_of_an_epoch_and_what_was_restored_go_on_as_if_nothing_had_happened(
    graphed: ModuleType, digits: data.Dataset
) -> None:
    stop, order = CONFIG.batch_size, epoch_order(3, 1, IMAGES)
    whole = by_hand(digits)
    train(whole, IMAGES)
    stopped, masks = by_hand(digits), MaskStream(3, 1, 0.2, "cpu")
    list(stopped.run(order[:stop], masks, RunningTally.start(Tally(), "cpu")))
    resumed = graphed.Graphed(*on("cpu", digits), CONFIG, multiply, Recorder())
    resumed.restore(stopped.network.state_dict(), stopped.optimizer_state())
    assert len(list(resumed.run(order[stop:], masks, RunningTally.start(Tally(), "cpu")))) > 1
    train(resumed, IMAGES, range(2, EPOCHS + 1))
    assert_near(resumed, whole)


def test_what_a_graph_reads_is_put_into_the_memory_that_it_reads(graphed: ModuleType, digits: data.Dataset) -> None:
    recorded = graphed.Graphed(*on("cpu", digits), CONFIG, multiply, Recorder())
    train(recorded, IMAGES, range(1, 2))
    before = [tensor.data_ptr() for tensor in state(recorded).values()]
    recorded.restore(recorded.network.state_dict(), {k: v.clone() for k, v in recorded.optimizer_state().items()})
    train(recorded, IMAGES, range(2, 3))
    assert before == [tensor.data_ptr() for tensor in state(recorded).values()]


def test_batches_too_small_for_a_graph_are_taken_step_by_step(
    graphed: ModuleType, digits: data.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphed, "MOST_STEPS", 2)
    record = Recorder()
    recorded, stepped = graphed.Graphed(*on("cpu", digits), CONFIG, multiply, record), by_hand(digits)
    [(_, done, _)] = train(recorded, IMAGES, range(1, 2))
    train(stepped, IMAGES, range(1, 2))
    assert (done, record.recorded) == ([64, 64, 22], 0)
    assert_near(recorded, stepped)


def test_without_a_gpu_they_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for module in (cuda_graph, cuda_graph_tf32):
        assert "no CUDA device" in str(module.why_unavailable())


def test_without_a_compiler_the_default_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("shutil.which", lambda name: None)
    if importlib.util.find_spec("triton"):
        assert "Triton needs a C compiler" in str(cuda_graph.why_unavailable())
    assert cuda_graph.why_unavailable() is not None


@pytest.mark.parametrize("batch_size", [50, 75, 1000])
def test_any_batch_size_will_do(graphed: ModuleType, digits: data.Dataset, batch_size: int) -> None:
    config = replace(CONFIG, batch_size=batch_size)  # two divide the images, one is more than there are
    recorded, stepped = graphed.Graphed(*on("cpu", digits), config, multiply, Recorder()), by_hand(digits, config)
    for engine in (recorded, stepped):
        train(engine, IMAGES, range(1, 2))
    assert_near(recorded, stepped)


@pytest.mark.cuda
@pytest.mark.parametrize("batch_size", [3, 479, 1437, 100_000])
def test_a_cuda_graph_takes_any_batch_size(digits: data.Dataset, batch_size: int) -> None:
    count, config = len(digits.train), replace(CONFIG, batch_size=batch_size)
    (recorded, _, _), (stepped, _, _) = (
        train(module.create(*on("cuda", digits), config), count, range(1, 2))[0]
        for module in (cuda_graph, preallocated)
    )
    assert recorded.loss_sum == pytest.approx(stepped.loss_sum, rel=1e-3)


@pytest.mark.cuda
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_a_cuda_graph_trains_as_the_steps_do(activation: Activation, digits: data.Dataset) -> None:
    count, config = len(digits.train), replace(CONFIG, activation=activation)
    recorded = cuda_graph.create(*on("cuda", digits, activation), config)
    stepped = preallocated.create(*on("cuda", digits, activation), config)
    for (tally, _, masks), (expected, _, expected_masks) in zip(
        train(recorded, count), train(stepped, count), strict=True
    ):
        assert tally.loss_sum == pytest.approx(expected.loss_sum, rel=1e-4)
        assert torch.equal(masks, expected_masks)
    assert_near(recorded, stepped, activation)


@pytest.mark.cuda
def test_the_labelled_engine_is_near_the_protocol_and_is_not_it(digits: data.Dataset) -> None:
    count, set_before = len(digits.train), torch.get_float32_matmul_precision()
    try:
        exactly, rough = (
            train(one.create(*on("cuda", digits), CONFIG), count)[-1][0].loss for one in (cuda_graph, cuda_graph_tf32)
        )
    finally:
        torch.set_float32_matmul_precision(set_before)
    assert rough == pytest.approx(exactly, rel=0.05)
    assert rough != pytest.approx(exactly, rel=1e-6)
