"""Training without evaluation, records or files: what a benchmark of the steps times."""

from collections.abc import Iterator

from mnist_bench import data
from mnist_bench.core.types import Tally, TrainConfig
from mnist_bench.training._schedule import MaskStream, epoch_order
from mnist_bench.training._session import prepare
from mnist_bench.training.engines._engine import RunningTally


class StepRunner:
    """A network, an engine and the training images of a configuration, on its device."""

    def __init__(self, config: TrainConfig, dataset: data.Dataset) -> None:
        self._config = config
        self._engine, parts = prepare(config, dataset)
        self.images = len(parts.train[1])
        self._tally = self._fresh()

    def steps(self, epoch: int) -> Iterator[int]:
        """Train through an epoch as `train` does; yield the number of images done since, after one or more steps."""
        self._tally = self._fresh()
        order = epoch_order(self._config.seed, epoch, self.images).to(self._config.device)
        masks = MaskStream(self._config.seed, epoch, self._config.dropout, self._config.device)
        return self._engine.run(order, masks, self._tally)

    def tally(self) -> Tally:
        """Wait for the device; return the tally of the epoch so far."""
        return self._tally.read()

    def _fresh(self) -> RunningTally:
        return RunningTally.start(Tally(), self._config.device)
