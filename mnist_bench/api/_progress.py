"""How far long work is: a bar in a notebook, and on a terminal; nothing where stderr goes elsewhere.

Nothing moves by itself: while a process is measured, a bar that does would take time from it.
"""

import importlib
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

from mnist_bench.core import text
from mnist_bench.core.events import EpochDone, Event, ImagesTrained, Measuring, OnEvent, TrainingStarted, Verifying
from mnist_bench.core.types import Record

REFRESH_S = 0.1  # ten times a second looks smooth


@dataclass(frozen=True)
class At:
    """So much of `total` is done; where nobody knows how much there is, it is None."""

    words: str
    done: float = 0
    total: float | None = None


class Bar(Protocol):
    """What shows where work stands."""

    def show(self, at: At) -> None:
        """Show it."""

    def say(self, line: str) -> None:
        """Show a line that stays."""

    def close(self) -> None:
        """Take the bar away."""


class _Terminal:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        words = TextColumn("{task.description}", markup=False)
        columns = (BarColumn(bar_width=24), TaskProgressColumn(), TimeRemainingColumn(), words)
        self._bar = Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True)
        self._task = self._bar.add_task("", total=None)
        self._bar.start()

    def show(self, at: At) -> None:
        self._bar.update(self._task, description=at.words, completed=at.done, total=at.total, refresh=True)

    def say(self, line: str) -> None:
        self._bar.console.print(line, highlight=False, markup=False)

    def close(self) -> None:
        self._bar.stop()


class _Notebook:
    def __init__(self) -> None:
        self._display: Any = importlib.import_module("IPython.display")
        self._handle: Any = None

    def show(self, at: At) -> None:
        value = "" if at.total is None else f' value="{at.done:g}" max="{at.total:g}"'
        self._write(f'<progress style="width: 20em"{value}></progress> <small>{escape(at.words)}</small>')

    def say(self, line: str) -> None:
        self._display.display(self._display.HTML(f"<small>{escape(line)}</small>"))

    def close(self) -> None:
        if self._handle:
            self._write("")

    def _write(self, html: str) -> None:
        made = self._display.HTML(html)
        if self._handle is None:
            self._handle = self._display.display(made, display_id=True)
        else:
            self._handle.update(made)


class _Silent:
    def show(self, at: At) -> None:
        pass

    def say(self, line: str) -> None:
        pass

    def close(self) -> None:
        pass


def _fitting(progress: bool) -> Bar:
    if progress and _in_a_notebook():
        return _Notebook()
    if progress and sys.stderr is not None and sys.stderr.isatty():
        return _Terminal()
    return _Silent()


def _in_a_notebook() -> bool:
    """Tell whether this is a kernel of Jupyter, and not IPython on a terminal."""
    if "IPython" not in sys.modules:
        return False
    ipython: Any = sys.modules["IPython"]
    return hasattr(ipython.get_ipython(), "kernel")


class Told:
    """Shows on a bar what events tell, ten times a second at most where they come fast."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._record: Record | None = None
        self._images, self._shown_at = 0, 0.0

    def say(self, line: str) -> None:
        """Show a line that stays."""
        self._bar.say(text.line(line))

    def begin(self, words: str) -> None:
        """Show what begins, of which nobody knows how long it takes."""
        self._bar.show(At(text.line(words)))

    def on_event(self, event: Event) -> None:
        """Show what has happened."""
        match event:
            case TrainingStarted(record) | EpochDone(record):
                self._record, self._images = record, 0
                partial = record.checkpoint and record.checkpoint.partial
                self._images = partial.train.images if partial else 0
                self._bar.show(self._in_training(record))
            case ImagesTrained(_, images):
                self._images += images
                if self._record and time.monotonic() - self._shown_at > REFRESH_S:
                    self._bar.show(self._in_training(self._record))
                    self._shown_at = time.monotonic()
            case Verifying(one):
                where = f"{one.threads} thread(s), batch {one.batch_size:,}"
                self.begin(f"{one.target} on {one.provider}: {where}")
            case Measuring():
                block = f"block {event.block + 1} of {event.blocks}: {event.label}"
                self._bar.show(At(text.line(block), event.done, event.total))

    def _in_training(self, record: Record) -> At:
        done, epochs, an_epoch = len(record.epochs), record.config.epochs, record.dataset.train_images
        words = f"{record.name}: epoch {min(done + 1, epochs)} of {epochs}"
        if record.epochs:
            words += f", validation {record.epochs[-1].validation.accuracy:.2%}"
        return At(text.line(words), done * an_epoch + self._images, epochs * an_epoch)


@contextmanager
def told(progress: bool) -> Iterator[Told]:
    """Return what shows progress where it can be seen, and is wanted; its bar is gone at the end."""
    bar = _fitting(progress)
    try:
        yield Told(bar)
    finally:
        bar.close()


@contextmanager
def events(one: Told) -> Iterator[OnEvent]:
    """Let it hear of events; what a training's stage opens, while there is one."""
    yield one.on_event


def warn(line: str) -> None:
    """Warn of what went wrong beside the work."""
    warnings.warn(text.line(line), RuntimeWarning, stacklevel=2)
