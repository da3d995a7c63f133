"""Every engine against a plain autograd loop, written as a notebook would."""

import math

import pytest
import torch
from torch.nn import functional

from mnist_bench import data, model
from mnist_bench.core import plugins
from mnist_bench.core.kinds import Activation
from mnist_bench.core.types import Tally, TrainConfig
from mnist_bench.training import engines
from mnist_bench.training._schedule import MaskStream
from mnist_bench.training.engines import _manual_step
from mnist_bench.training.engines._engine import Engine, RunningTally
from tests import nearness
from tests.training import textbook

BATCH, IMAGES = 64, 300  # the last batch is short
pytestmark = pytest.mark.processors


def exact(device: str) -> list[str]:
    """Return the engines that are the protocol on a kind of device."""
    modules = {name: plugins.load(engines, name) for name in plugins.names(engines)}
    return [name for name, module in modules.items() if module.PRECISION == "fp32" and device in module.DEVICES]


@pytest.fixture(params=exact("cpu"))
def engine_name(request: pytest.FixtureRequest) -> str:
    missing = plugins.load(engines, request.param).why_unavailable()
    if missing and request.param != "distributed":  # which trains alone too, though nobody may choose it for that
        pytest.skip(str(missing))
    return str(request.param)


def tensors(digits: data.Dataset, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.from_numpy(data.to_input(digits.train.pixels)).to(dtype)
    return images, torch.from_numpy(digits.train.labels).long()


def build(name: str, activation: Activation, digits: data.Dataset, learning_rate: float = 1e-3) -> Engine:
    config = TrainConfig(activation=activation, batch_size=BATCH, learning_rate=learning_rate)
    engine: Engine = plugins.load(engines, name).create(model.create(activation, 0.2, 7), *tensors(digits), config)
    return engine


def advance(engine: Engine, order: torch.Tensor, masks: MaskStream, tally: RunningTally) -> list[int]:
    return list(engine.run(order, masks, tally))


def plain_loop(
    activation: Activation, digits: data.Dataset, orders: list[torch.Tensor]
) -> tuple[dict[str, torch.Tensor], list[tuple[float, int]]]:
    """Train in float64, step by step, with torch's textbook Adam; return the weights and each epoch's sums."""
    network = model.create(activation, 0.2, 7).double()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    images, labels = tensors(digits, torch.float64)
    sums = []
    for epoch, order in enumerate(orders, 1):
        masks, loss_sum, correct = MaskStream(0, epoch, 0.2, "cpu"), 0.0, 0
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            logits = network(images[batch], masks.draw(len(batch)).double())
            loss = functional.cross_entropy(logits, labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            loss_sum += loss.item() * len(batch)
            correct += int((logits.argmax(1) == labels[batch]).sum())
        sums.append((loss_sum, correct))
    return network.state_dict(), sums


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_an_epoch_has_the_loss_of_a_plain_autograd_loop(
    engine_name: str, activation: Activation, digits: data.Dataset
) -> None:
    orders = [torch.randperm(IMAGES, generator=torch.Generator().manual_seed(epoch)) for epoch in (1, 2)]
    _, sums = plain_loop(activation, digits, orders)
    engine = build(engine_name, activation, digits)
    for epoch, (order, (loss_sum, correct)) in enumerate(zip(orders, sums, strict=True), 1):
        tally = RunningTally.start(Tally(), "cpu")
        assert sum(advance(engine, order, MaskStream(0, epoch, 0.2, "cpu"), tally)) == IMAGES
        assert tally.read().images == IMAGES
        assert tally.read().correct == correct
        assert tally.read().loss_sum == pytest.approx(loss_sum, rel=1e-5)


def largest_excess(engine: Engine, activation: Activation, digits: data.Dataset, masks: MaskStream) -> float:
    """Take the steps of an epoch, each from the state that `textbook.step` starts from too.

    Returns:
        By what factor the worst weight is further off than rounding explains.
    """
    given, worst = MaskStream(0, 1, 0.2, "cpu"), 0.0
    images, labels = tensors(digits, torch.float64)
    for batch in torch.split(torch.arange(IMAGES), BATCH):
        before, state = (
            {name: value.detach().cpu().clone() for name, value in found.items()}
            for found in (engine.network.state_dict(), engine.optimizer_state())
        )
        mask = given.draw(len(batch)).double()
        expected = textbook.step(before, state, activation, images[batch].flatten(1), labels[batch], mask)
        advance(engine, batch.to(masks.device), masks, RunningTally.start(Tally(), masks.device))
        for name, weight in engine.network.state_dict().items():
            value, allowed = expected[name]
            worst = max(worst, float(((weight.cpu() - value).abs() / allowed).max()))
    return worst


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_every_step_is_the_textbook_s_within_rounding(
    engine_name: str, activation: Activation, digits: data.Dataset
) -> None:
    engine = build(engine_name, activation, digits)
    assert largest_excess(engine, activation, digits, MaskStream(0, 1, 0.2, "cpu")) <= 1


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize(("epoch_of_masks", "learning_rate"), [(2, 1e-3), (1, 1.001e-3)], ids=["masks", "rate"])
def test_a_step_that_is_slightly_wrong_is_not_the_textbook_s(
    epoch_of_masks: int, learning_rate: float, activation: Activation, digits: data.Dataset
) -> None:
    engine = build("eager", activation, digits, learning_rate)
    assert largest_excess(engine, activation, digits, MaskStream(0, epoch_of_masks, 0.2, "cpu")) > 10


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_every_engine_goes_where_the_eager_one_goes(
    engine_name: str, activation: Activation, digits: data.Dataset
) -> None:
    expected, start = after("eager", activation, digits, 50), model.create(activation, 0.2, 7).state_dict()
    assert nearness.drift(after(engine_name, activation, digits, 50), expected, start) < nearness.SAME
    assert nearness.drift(after(engine_name, activation, digits, 50, epoch_of_masks=2), expected, start) > 0.1


def after(
    name: str, activation: Activation, digits: data.Dataset, steps: int, epoch_of_masks: int = 1
) -> dict[str, torch.Tensor]:
    """Return the weights after so many steps."""
    engine = build(name, activation, digits)
    tally = RunningTally.start(Tally(), "cpu")
    order = torch.randperm(len(digits.train), generator=torch.Generator().manual_seed(1)).repeat(4)[: steps * BATCH]
    advance(engine, order, MaskStream(0, epoch_of_masks, 0.2, "cpu"), tally)
    return engine.network.state_dict()


def test_a_restored_engine_goes_on_bit_for_bit(engine_name: str, digits: data.Dataset) -> None:
    """It stops between the steps at which averages are settled."""
    first, second = (build(engine_name, "relu", digits) for _ in range(2))
    order, tally = torch.arange(IMAGES).repeat(15)[: 70 * BATCH], RunningTally.start(Tally(), "cpu")
    advance(first, order, MaskStream(0, 1, 0.2, "cpu"), tally)
    weights = {name: value.clone() for name, value in first.network.state_dict().items()}
    second.restore(weights, {name: value.clone() for name, value in first.optimizer_state().items()})
    for engine in (first, second):
        advance(engine, order, MaskStream(0, 2, 0.2, "cpu"), tally)
    for name, value in first.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name])
    for name, value in first.optimizer_state().items():
        assert torch.equal(value, second.optimizer_state()[name])


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_averages_never_become_subnormal_which_changes_no_weight(
    activation: Activation, digits: data.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pixel that is lit in the first step alone leaves averages that decay for as long as training lasts."""

    def trained(*stops: int, name: str = "preallocated") -> Engine:
        images, labels = tensors(digits)
        images[:, 0, 0, 0] = 0
        images[0, 0, 0, 0] = 1
        config = TrainConfig(activation=activation, batch_size=4)
        order = 1 + torch.arange(4 * 900) % (len(labels) - 1)
        order[0] = 0
        engine: Engine = plugins.load(engines, name).create(model.create(activation, 0.2, 7), images, labels, config)
        masks, tally = MaskStream(0, 1, 0.2, "cpu"), RunningTally.start(Tally(), "cpu")
        for part in torch.tensor_split(order, [4 * stop for stop in stops]):
            advance(engine, part, masks, tally)
        return engine

    def subnormal(engine: Engine) -> int:
        size = engine.optimizer_state()["fc1.weight.exp_avg"].abs()
        return int(((size > 0) & (size < torch.finfo(torch.float32).tiny)).sum())

    settled, stopped = trained(), trained(100)
    monkeypatch.setattr(_manual_step, "SETTLE_EVERY", 10**9)
    left = trained()
    assert subnormal(settled) == 0
    assert plugins.load(engines, "sparse").why_unavailable() or subnormal(trained(name="sparse")) == 0
    assert subnormal(left) > 100
    for name, weight in settled.network.state_dict().items():
        assert torch.equal(weight, left.network.state_dict()[name])
    for name, value in settled.optimizer_state().items():
        assert torch.equal(value, stopped.optimizer_state()[name])


def test_the_optimizer_s_state_is_named_after_the_parameters(engine_name: str, digits: data.Dataset) -> None:
    engine = build(engine_name, "relu", digits)
    shapes = {name: value.shape for name, value in engine.optimizer_state().items()}
    expected = {
        f"{name}.{moment}": value.shape
        for name, value in engine.network.state_dict().items()
        for moment in ("exp_avg", "exp_avg_sq")
    }
    assert shapes == expected | {"step": torch.Size()}


@pytest.mark.cuda
@pytest.mark.parametrize("engine_name", exact("cuda"))
def test_cuda_trains_like_the_cpu(engine_name: str, digits: data.Dataset) -> None:
    """The same masks on both: those of the CPU, copied."""

    class Copied(MaskStream):
        def draw(self, images: int) -> torch.Tensor:
            return super().draw(images).cuda()

    config = TrainConfig(batch_size=BATCH, device="cuda:0")
    images, labels = (tensor.cuda() for tensor in tensors(digits))
    network = model.create("relu", 0.2, 7).cuda()
    engine: Engine = plugins.load(engines, engine_name).create(network, images, labels, config)
    masks = Copied(0, 1, 0.2, "cpu")
    masks.device = torch.device("cuda:0")  # where the engine wants its order and keeps its tally
    assert largest_excess(engine, "relu", digits, masks) <= 1


def counted_in_parts(logits: torch.Tensor, labels: torch.Tensor, step: int, stop: int) -> Tally:
    """Count steps of so many images, with a stop after so many of them, as a training that is resumed does."""
    tally = RunningTally.start(Tally(), "cpu")
    for place, parts in enumerate(zip(torch.split(logits, step), torch.split(labels, step), strict=True)):
        if place == stop:
            tally = RunningTally.start(tally.read(), "cpu")
        tally.add(*parts)
    return tally.read()


def test_the_loss_does_not_depend_on_where_a_training_was_stopped() -> None:
    """Most images are learnt, to losses of 1e-9 and less, and some are not: float64 would not add these exactly."""
    generator = torch.Generator().manual_seed(5)
    logits, labels = torch.randn(4_000, 10, generator=generator) * 12, torch.arange(4_000) % 10
    whole = counted_in_parts(logits, labels, 128, 99)
    for stop in range(1, 32):
        assert counted_in_parts(logits, labels, 128, stop) == whole
    losses = functional.cross_entropy(logits.double(), labels, reduction="sum")
    assert whole.loss_sum == pytest.approx(float(losses), rel=1e-9)
    diverged = counted_in_parts(torch.full((4, 10), torch.nan), labels[:4], 2, 1)
    assert not math.isfinite(diverged.loss_sum)
