"""TensorBoard: event files in the run's folder, for `tensorboard --logdir exports`."""

import importlib.util
from pathlib import Path
from typing import Any

from mnist_bench import store
from mnist_bench.core.events import EpochDone, Event, TrainingFinished, TrainingStarted
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import Record
from mnist_bench.tracking import _facts
from mnist_bench.tracking._guard import Tracker

FOLDER, EVENTS = "tensorboard", "events.out.tfevents.*"


def why_unavailable() -> Skipped | None:
    """Return what to install, or None."""
    if importlib.util.find_spec("tensorboard"):
        return None
    return Skipped("tensorboard", "it is not installed", "pip install 'mnist-bench[tensorboard]'")


class TensorBoard:
    """See `Tracker`: the log is written anew from the record at each start, so nothing is there twice or lacking."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._own = folder, folder / FOLDER
        self._writer: Any = None

    def on_event(self, event: Event) -> None:
        """See `Tracker`; nothing is written before an epoch is saved, so that an older run's log stays until then."""
        match event:
            case TrainingStarted(record) if record.epochs:
                self._open(record)
            case EpochDone(record) if self._writer is None:
                self._open(record)
            case EpochDone(record):
                self._add(_facts.epoch_numbers(record.epochs[-1]), record.epochs[-1].epoch)
            case TrainingFinished(record):
                self._finish(record)

    def _finish(self, record: Record) -> None:
        last = len(record.epochs)
        self._add(_facts.final_numbers(record), last)
        self._writer.add_text("run", _table(_facts.words(record)), last)
        pairs = {f"{true} → {predicted}": str(count) for true, predicted, count in _facts.confusions(record)}
        self._writer.add_text("confusions", _table(pairs), last)
        self._writer.flush()

    def close(self) -> None:
        """See `Tracker`."""
        if self._writer is not None:
            self._writer.close()

    def _open(self, record: Record) -> None:
        """Begin a log anew with all that the record holds."""
        from torch.utils.tensorboard import SummaryWriter

        store.declare(self._folder, f"{FOLDER}/{EVENTS}")
        store.subfolder(self._folder, FOLDER)  # no link to another place
        for old in self._own.glob(EVENTS):
            old.unlink()
        self._writer = SummaryWriter(str(self._own))
        self._writer.add_text("configuration", _table(_facts.parameters(record)))
        for epoch in record.epochs:
            self._add(_facts.epoch_numbers(epoch), epoch.epoch)

    def _add(self, numbers: dict[str, float], step: int) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()


def _table(entries: dict[str, str]) -> str:
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in entries.items())])


def create(folder: Path) -> Tracker:
    """Open the log of the run in a folder."""
    return TensorBoard(folder)
