"""How long work shows that it goes on: a live display on a terminal, lines elsewhere, all on stderr."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from mnist_bench.cli._signals import heed
from mnist_bench.core import text
from mnist_bench.core.dataset_names import shown
from mnist_bench.core.events import (
    EpochDone,
    Event,
    Exporting,
    ImagesTrained,
    Measuring,
    OnEvent,
    SeedsDone,
    TrainingStarted,
    Verifying,
    ignore,
)
from mnist_bench.core.study_types import SeedFailure, SeedResult
from mnist_bench.core.types import Configuration, EpochMetrics, Record

if TYPE_CHECKING:
    from mnist_bench.data import Dataset

# Ten times a second looks smooth; above a minute and a half nobody counts in seconds.
REFRESH_S, SECONDS_BELOW = 0.1, 90

# What fits beside a bar: on fewer columns the speed is left out, on more the loss is shown too.
FOR_SPEED, FOR_LOSS = 80, 112


def tell_remarks(dataset: "Dataset") -> None:
    """Say what is to be known of a dataset, such as how it was split."""
    for remark in dataset.remarks:
        tell(remark)


def tell(line: str) -> None:
    """Print to stderr; that nobody listens any more must not stop a training."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        click.echo(text.line(line), err=True)


class Lines:
    """Prints a line when training starts and one after every epoch."""

    def on_event(self, event: Event) -> None:
        """Print the line."""
        match event:
            case TrainingStarted(record):
                tell(_headline(record))
            case EpochDone(record):
                metrics = record.epochs[-1]
                tell(
                    f"epoch {metrics.epoch}/{record.config.epochs}: {_accuracies(metrics)}, "
                    f"validation loss {metrics.validation.loss:.4f}, "
                    f"{metrics.train_s:.2f} s + {metrics.evaluation_s:.2f} s, "
                    f"{metrics.train.images / metrics.train_s:,.0f} images/s"
                )


class Live:
    """A bar over all images of all epochs, with the last epoch's numbers, the speed and the time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        speed = [TextColumn("{task.fields[speed]}")] if console.width >= FOR_SPEED else []
        self._wide = console.width >= FOR_LOSS
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24 if self._wide else 12),
            TextColumn("{task.percentage:3.0f}%"),
            *speed,
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}", style="dim"),
            console=console,
        )
        self._task = self._progress.add_task("", total=None, speed="", numbers="")
        self._epochs, self._pending, self._shown_at = 0, 0, 0.0

    def __enter__(self) -> "Live":
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def on_event(self, event: Event) -> None:
        """Draw what has happened."""
        match event:
            case TrainingStarted(record):
                self._start(record)
            case ImagesTrained(epoch, images):
                self._advance(epoch, images)
            case EpochDone(record):
                done = record.dataset.train_images * len(record.epochs)
                numbers, at = self._numbers(record.epochs[-1]), f"epoch {len(record.epochs)}/{self._epochs}"
                self._progress.update(self._task, completed=done, description=at, numbers=numbers)
                self._pending = 0

    def _numbers(self, metrics: EpochMetrics) -> str:
        return _accuracies(metrics) if self._wide else f"validation {metrics.validation.accuracy:.2%}"

    def _start(self, record: Record) -> None:
        """Begin to draw, once there is something to train: what is finished already needs no bar."""
        if len(record.epochs) >= record.config.epochs:
            return
        self._progress.start()
        self._progress.console.print(text.line(_headline(record)), highlight=False, markup=False)
        self._epochs = record.config.epochs
        self._progress.reset(self._task, total=record.dataset.train_images * self._epochs)
        partial = record.checkpoint and record.checkpoint.partial
        done = record.dataset.train_images * len(record.epochs) + (partial.train.images if partial else 0)
        self._progress.update(self._task, completed=done, description=f"epoch {len(record.epochs) + 1}/{self._epochs}")

    def _advance(self, epoch: int, images: int) -> None:
        self._pending += images
        if time.monotonic() - self._shown_at < REFRESH_S:  # redrawing at every step would slow training down
            return
        speed = self._progress.tasks[0].speed
        self._progress.update(
            self._task,
            advance=self._pending,
            description=f"epoch {epoch}/{self._epochs}",
            speed=f"{speed:,.0f} images/s" if speed else "",
        )
        self._pending, self._shown_at = 0, time.monotonic()


def _on_a_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


@contextlib.contextmanager
def training_display(quiet: int) -> Iterator[OnEvent]:
    """Choose the display that fits where stderr goes."""
    if quiet:
        yield ignore
    elif _on_a_terminal():
        with Live() as live:
            yield live.on_event
    else:
        yield Lines().on_event


def _headline(record: Record) -> str:
    config, images = record.config, record.dataset
    return (
        f"{record.name}: {config.activation}, {images.train_images:,} images of {shown(images.name)}, "
        f"{config.epochs} epochs on {record.environment.gpu or config.device}, {config.threads} thread(s)"
    )


def _accuracies(metrics: EpochMetrics) -> str:
    return (
        f"loss {metrics.train.loss:.4f}, train {metrics.train.accuracy:.2%}, "
        f"validation {metrics.validation.accuracy:.2%}"
    )


@contextlib.contextmanager
def configurations_display(quiet: int, beginning: str = "evaluating the float64 reference") -> Iterator[OnEvent]:
    """Tell on stderr which configuration is being compared, or exported: on a terminal in one line that changes."""
    if quiet:
        yield lambda _: heed()
    elif _on_a_terminal():
        from rich.console import Console
        from rich.text import Text

        with Console(stderr=True).status(beginning) as status:
            yield _of_configurations(lambda line: status.update(Text(text.line(line))))
    else:
        yield _of_configurations(tell)


def _of_configurations(show: Callable[[str], None]) -> OnEvent:
    def on_event(event: Event) -> None:
        heed()
        match event:
            case Verifying(configuration):
                show(_described(configuration))
            case Exporting(name, precision):
                show(f"exporting {name} {precision} …")

    return on_event


def _described(configuration: Configuration) -> str:
    return (
        f"{configuration.target} on {configuration.provider}: "
        f"{configuration.threads} thread(s), batch {configuration.batch_size:,}"
    )


@contextlib.contextmanager
def processes_display(quiet: int) -> Iterator[OnEvent]:
    """Tell on stderr how far a benchmark is, and the time left: a bar on a terminal, a line a block elsewhere.

    Neither does anything while a process is measured: a bar that moves by itself would take time from it.
    """
    if quiet:
        yield lambda _: heed()
    elif _on_a_terminal():
        with _Bar() as bar:
            yield bar.on_event
    else:
        yield _Blocks().on_event


class _Bar:
    """A bar over all processes of all blocks, drawn when one begins."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.fields[block]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[over]}"),
            TimeRemainingColumn(),
            TextColumn("{task.description}", style="dim", markup=False),
            console=Console(stderr=True),
            auto_refresh=False,
            speed_estimate_period=3600,
        )
        self._task = self._bar.add_task("looking at the machine", total=None, block="bench", over="")
        self._total: int | None = None

    def __enter__(self) -> "_Bar":
        self._bar.start()
        self._bar.refresh()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def on_event(self, at: Event) -> None:
        """Draw where a benchmark stands; another total, or a resumption, begins the estimate anew."""
        heed()
        if not isinstance(at, Measuring):
            return
        if at.total != self._total:
            self._bar.reset(self._task, total=at.total, completed=at.done)
            self._total = at.total
        shown = {"block": f"block {at.block + 1}/{at.blocks}", "over": f"{at.done}/{at.total}"}
        self._bar.update(self._task, completed=at.done, description=text.line(at.label), refresh=True, **shown)  # type: ignore[arg-type]


class _Blocks:
    """A line when a block begins, with the time left as the blocks so far promise it."""

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None

    def on_event(self, at: Event) -> None:
        """Print the line."""
        heed()
        if not isinstance(at, Measuring) or at.position:
            return
        now = time.monotonic()
        if self._began is None or at.block <= self._began[1]:
            self._began = now, at.block
        since, first = self._began
        left = (now - since) / (at.block - first) * (at.blocks - at.block) if at.block > first else None
        about = "" if left is None else f", about {_rough(left)} left"
        tell(f"block {at.block + 1} of {at.blocks}: {at.processes} processes{about}")


def _rough(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < SECONDS_BELOW else f"{seconds / 60:.0f} min"


@contextlib.contextmanager
def study_display(quiet: int) -> Iterator[OnEvent]:
    """Tell on stderr how many trainings of a study are done, and the time left."""
    if quiet:
        yield ignore
    elif _on_a_terminal():
        with _Seeds() as seeds:
            yield seeds.on_event
    else:
        yield _SeedLines().on_event


class _Pace:
    """How long the rest takes, as what was done since the first look promises."""

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None

    def left_s(self, at: SeedsDone) -> float | None:
        """Return the seconds left; None before anything is done."""
        now, over = time.monotonic(), at.done + at.failed
        if self._began is None:
            self._began = now, over
        since, first = self._began
        return (now - since) / (over - first) * (at.total - over) if over > first else None


class _Seeds:
    """A bar over all trainings, with what came last; it moves when one is over, and its clock all the time."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("study"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[over]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.description}", style="dim", markup=False),
            console=Console(stderr=True),
        )
        self._task, self._pace = (
            self._bar.add_task("the first seeds are being trained", total=None, over="", left=""),
            _Pace(),
        )

    def __enter__(self) -> "_Seeds":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def on_event(self, at: Event) -> None:
        """Draw where a study stands; a failure gets a line of its own above the bar, which stays."""
        if not isinstance(at, SeedsDone):
            return
        left = self._pace.left_s(at)
        shown = {"over": f"{at.done}/{at.total}", "left": f"about {_rough(left)} left" if left else ""}
        if isinstance(at.last, SeedFailure):
            self._bar.console.print(text.line(_of_seed(at.last)), highlight=False, markup=False)
        elif at.last:
            shown["description"] = text.line(_of_seed(at.last))
        self._bar.update(self._task, total=at.total, completed=at.done, **shown)  # type: ignore[arg-type]


class _SeedLines:
    """A line when a study starts, and one for each training that is over."""

    def __init__(self) -> None:
        self._pace = _Pace()

    def on_event(self, at: Event) -> None:
        """Print the line."""
        if not isinstance(at, SeedsDone):
            return
        left = self._pace.left_s(at)
        if at.last is None:
            tell(f"study: {at.done} of {at.total} trainings done")
        else:
            about = f", about {_rough(left)} left" if left else ""
            tell(f"{_of_seed(at.last)} ({at.done} of {at.total}{about})")


def _of_seed(one: SeedResult | SeedFailure) -> str:
    name = f"{one.activation} seed {one.seed}"
    return f"{name}: {one.reason}" if isinstance(one, SeedFailure) else f"{name}: {one.test.accuracy:.2%}"
