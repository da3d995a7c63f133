"""Many seeds at once as one batched network, for devices that a single small network leaves idle.

Every seed has its own weights, order of images, dropout masks and moments, as if it were trained alone: a sum of losses
has each seed's own gradients, and Adam works on each number by itself. Only the rounding differs, and on a GPU the
masks, which are drawn for several steps at once.
"""

import math
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from mnist_bench import data, model
from mnist_bench.core.errors import TrainingDiverged
from mnist_bench.core.types import EpochMetrics, FinalMeasurement, Tally, TrainConfig
from mnist_bench.training._evaluate import predictions, tally
from mnist_bench.training._schedule import MaskStream, derived_seed, epoch_order
from mnist_bench.training._session import DeviceTensors, Trained, on_device, to_arrays

IMAGES_A_PASS = 100_000  # over all seeds: keeps the activations of an evaluation below half a gigabyte
STEPS_A_DRAW = 8  # masks of so many steps are drawn at once: one small kernel a seed and draw, not a seed and step


class Seeds:
    """The networks of some seeds, which differ in nothing but their seed.

    `parameters` are named as those of `model.Network`, each with a first dimension more: the seed's place in `seeds`.
    """

    def __init__(self, config: TrainConfig, seeds: Sequence[int], parts: DeviceTensors) -> None:
        torch.set_float32_matmul_precision("highest")  # the protocol is IEEE float32: no TF32
        torch.set_num_threads(config.threads)
        self.config, self.seeds = config, tuple(seeds)
        self._images, self._labels = parts.train[0].flatten(1), parts.train[1]
        self._activate = model.ACTIVATIONS[config.activation]()
        created = [
            dict(model.create(config.activation, config.dropout, derived_seed(seed, 0, "weights")).named_parameters())
            for seed in seeds
        ]
        self.parameters = {
            name: torch.stack([one[name].detach() for one in created]).to(config.device).requires_grad_()
            for name in created[0]
        }
        self._optimizer = torch.optim.Adam(self.parameters.values(), lr=config.learning_rate, fused=True)

    def steps(self, epoch: int, loss_sums: Tensor, correct: Tensor) -> Iterator[int]:
        """Train an epoch, a batch of every seed a step; yield after each the number of images done by each seed.

        Args:
            epoch: its number, from 1.
            loss_sums: float64 (seeds,), to which the losses are added.
            correct: int64 (seeds,), likewise of the images predicted correctly.
        """
        size, images = self.config.batch_size, len(self._labels)
        orders = torch.stack([epoch_order(seed, epoch, images) for seed in self.seeds]).to(self.config.device)
        streams = [MaskStream(seed, epoch, self.config.dropout, self.config.device) for seed in self.seeds]
        for several in torch.split(orders, size * STEPS_A_DRAW, dim=1):
            masks = torch.stack([stream.draw(several.shape[1]) for stream in streams])
            for indices, mask in zip(torch.split(several, size, 1), torch.split(masks, size, 1), strict=True):
                self._step(indices, mask, loss_sums, correct)
                yield indices.shape[1]

    def _step(self, indices: Tensor, mask: Tensor, loss_sums: Tensor, correct: Tensor) -> None:
        """Take a step on the images at `indices` (seeds, n), with `mask` (seeds, n, 512)."""
        images = self._images.index_select(0, indices.flatten()).view(*indices.shape, -1)
        labels = self._labels[indices]
        self._optimizer.zero_grad(set_to_none=True)
        logits = self._logits(images, mask)
        losses = functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none").mean(1)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        loss_sums += losses.detach() * indices.shape[1]
        correct += (logits.detach().argmax(2) == labels).sum(1)

    def _logits(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map images (seeds, n, 784) to logits (seeds, n, 10), with dropout where there is a mask."""
        hidden = self._activate(self._layer("fc1", images))
        hidden = hidden if mask is None else hidden * mask
        return self._layer("fc3", self._activate(self._layer("fc2", hidden)))

    def _layer(self, name: str, inputs: Tensor) -> Tensor:
        bias, weight = self.parameters[f"{name}.bias"], self.parameters[f"{name}.weight"]
        return torch.baddbmm(bias[:, None], inputs, weight.mT)

    @torch.inference_mode()
    def evaluate(self, images: Tensor) -> Tensor:
        """Return the logits of images float32 (n, 1, 28, 28), without dropout: (seeds, n, 10)."""
        chunks = torch.split(images.flatten(1), max(IMAGES_A_PASS // len(self.seeds), 1))
        return torch.cat([self._logits(chunk.expand(len(self.seeds), -1, -1)) for chunk in chunks], dim=1)


def train_many(
    config: TrainConfig, seeds: Sequence[int], dataset: data.Dataset
) -> dict[int, Trained | TrainingDiverged]:
    """Train one configuration with several seeds at once, to its last epoch.

    Args:
        config: how, but for its seed.
        seeds: different ones; memory grows with their number, by about 10 MB each and what the evaluation takes.
        dataset: the data.

    Returns:
        What each seed came to; the seconds of its epochs are its share of everybody's.
    """
    parts = on_device(dataset, config)
    trained = Seeds(config, seeds, parts)
    epochs: dict[int, list[EpochMetrics]] = {seed: [] for seed in seeds}
    diverged: dict[int, TrainingDiverged] = {}
    for epoch in range(1, config.epochs + 1):
        for seed, metrics in zip(seeds, _epoch(trained, epoch, parts), strict=True):
            epochs[seed].append(metrics)
            loss_sum = metrics.train.loss_sum + metrics.validation.loss_sum
            if not math.isfinite(loss_sum):
                diverged.setdefault(seed, _divergence(config, seed, epoch, loss_sum))
        if len(diverged) == len(seeds):
            break
    found = _finals(trained, parts)
    weights = [to_arrays({name: all_of[i] for name, all_of in trained.parameters.items()}) for i in range(len(seeds))]
    return {
        seed: diverged.get(seed) or Trained(tuple(epochs[seed]), final, arrays)
        for seed, final, arrays in zip(seeds, found, weights, strict=True)
    }


def _epoch(trained: Seeds, epoch: int, parts: DeviceTensors) -> Iterator[EpochMetrics]:
    """Train and evaluate one epoch; yield each seed's numbers."""
    count = len(trained.seeds)
    loss_sums = torch.zeros(count, dtype=torch.float64, device=trained.config.device)
    correct = torch.zeros(count, dtype=torch.int64, device=trained.config.device)
    began = time.perf_counter()
    images = sum(trained.steps(epoch, loss_sums, correct))
    sums, rights = loss_sums.tolist(), correct.tolist()  # waits for the device
    stepped = time.perf_counter()
    watched = [tally(logits, parts.validation[1]) for logits in trained.evaluate(parts.validation[0])]
    evaluated = time.perf_counter()
    for loss_sum, right, validation in zip(sums, rights, watched, strict=True):
        yield EpochMetrics(
            epoch=epoch,
            train=Tally(loss_sum=loss_sum, correct=right, images=images),
            validation=validation,
            train_s=(stepped - began) / count,
            evaluation_s=(evaluated - stepped) / count,
        )


def _finals(trained: Seeds, parts: DeviceTensors) -> Iterator[FinalMeasurement]:
    began = time.perf_counter()
    again = [tally(logits, parts.train[1]) for logits in trained.evaluate(parts.train[0])]
    tests = [(tally(logits, parts.test[1]), logits) for logits in trained.evaluate(parts.test[0])]
    measurement_s = (time.perf_counter() - began) / len(trained.seeds)
    for train, (test, logits) in zip(again, tests, strict=True):
        found = predictions(logits, parts.test[1])
        yield FinalMeasurement(train=train, test=test, predictions=found, measurement_s=measurement_s)


def _divergence(config: TrainConfig, seed: int, epoch: int, loss_sum: float) -> TrainingDiverged:
    return TrainingDiverged(
        f"the loss became {loss_sum} in epoch {epoch} of seed {seed}: use a smaller --lr than {config.learning_rate:g}"
    )
