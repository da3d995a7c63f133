"""One look for all figures: colour-blind safe (Okabe and Ito 2008), with shapes that tell lines apart in grey too."""

import io
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
    StrMethodFormatter,
)

from mnist_bench.core import text
from mnist_bench.core.types import Tally

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
LONGEST_NAME = 24
CROWDED = 30
"""From so many times its left end on, a logarithmic axis has room for powers of ten alone."""
INK, MUTED, PAPER = "#222222", "#777777", "#ffffff"
LINES = ((BLUE, "o", "-"), (ORANGE, "s", "--"), (GREEN, "^", "-."), (PURPLE, "D", ":"))
"""Colour, marker and dash of the first, second … line."""

STYLE: Any = {  # matplotlib types its settings as literals
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "figure.constrained_layout.h_pad": 0.1,
    "text.parse_math": False,  # a name with dollars in it is a name
    "svg.fonttype": "none",
    "svg.hashsalt": "mnist-bench",  # the same record gives the same bytes
}


@dataclass(frozen=True)
class Picture:
    """A figure, the stem of its file names, and the run, or the study, into whose folder it goes.

    `says` tells in a sentence or two what there is to see, with its numbers: for whoever cannot see it.
    """

    run: str
    stem: str
    figure: Figure
    says: str


def styled() -> AbstractContextManager[None]:
    """Return what lets figures have this look while it lasts: some settings count when they are drawn."""
    return mpl.rc_context(STYLE)


def saved(figure: Figure, form: Literal["png", "svg"], **options: Any) -> bytes:
    """Return a figure as a file's bytes: of equal figures, equal ones."""
    content = io.BytesIO()
    _clean(figure)
    with styled():  # some settings count when it is written, not when it is drawn
        figure.savefig(content, format=form, metadata={"Date": None} if form == "svg" else None, **options)
    return content.getvalue()


def _clean(figure: Figure) -> None:
    """Clean all words of a figure: they may be names of anybody's, and an SVG with control characters is none."""
    for found in figure.findobj(Text):
        assert isinstance(found, Text)
        found.set_text(text.clean(found.get_text()))
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            labels = axis.get_major_formatter()
            if isinstance(labels, FuncFormatter):  # what matplotlib makes of a list of names; asked when it draws
                labels.func = _cleaned(labels.func)


def _cleaned(label_of: Callable[..., str]) -> Callable[..., str]:
    return lambda *place: text.clean(label_of(*place))


def panel(title: str, width_inches: float = 5.2, height_inches: float = 3.7) -> tuple[Figure, Axes]:
    """Return a figure with one panel."""
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    return figure, axes


def short(name: str) -> str:
    """Cut a long name in the middle, so that titles and legends fit."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME // 2]}…{name[1 - LONGEST_NAME // 2 :]}"


def _epochs_axis(axes: Axes, epochs: int) -> None:
    axes.set(xlabel="Epoch", xlim=(0.5, epochs + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def accuracy_axes(axes: Axes, epochs: int) -> None:
    """Label a panel of accuracies over so many epochs."""
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    _epochs_axis(axes, epochs)


def loss_axes(axes: Axes, epochs: int) -> None:
    """Label a panel of losses, in nats an image, over so many epochs."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    _epochs_axis(axes, epochs)


def dot_plot(
    title: str,
    names: Sequence[str],
    values: Sequence[float],
    intervals: Sequence[tuple[float, float] | None],
    marked: Sequence[bool],
) -> tuple[Figure, Axes]:
    """Return a panel with a row per name, the first on top: a dot, its interval as a line, filled where marked."""
    figure, axes = panel(title, height_inches=1.3 + 0.3 * len(names))
    rows = range(len(names))
    for row, value, interval, filled in zip(rows, values, intervals, marked, strict=True):
        if interval:
            axes.plot(interval, (row, row), color=BLUE, linewidth=2.5, solid_capstyle="butt")
        axes.plot([value], [row], "o", color=BLUE, markersize=7, markerfacecolor=BLUE if filled else PAPER)
    axes.set_yticks(rows, names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    return figure, axes


def time_axis(axes: Axes, label: str) -> None:
    """Make the horizontal axis one of times on a logarithmic scale, with plain numbers."""
    axes.set(xscale="log", xlabel=label)
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < CROWDED * low else (1,)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


@dataclass(frozen=True)
class Measure:
    """A number of a tally, over the epochs: how it is called, got, written and drawn."""

    name: str
    title: str
    of: Callable[[Tally], float]
    written: Callable[[float], str]
    axes: Callable[[Axes, int], None]


MEASURES = (
    Measure("accuracy", "accuracy", lambda tally: tally.accuracy, "{:.2%}".format, accuracy_axes),
    Measure("loss", "loss per image (nats)", lambda tally: tally.loss, "{:.4f} nats".format, loss_axes),
)


def image_grid(rows: int, columns: int, title: str, cell_inches: float = 1.2) -> tuple[Figure, list[Axes]]:
    """Return a figure of small square panels without axes, row by row."""
    figure = Figure(figsize=(columns * cell_inches, rows * cell_inches + 0.7), layout="constrained")
    figure.suptitle(title)
    axes = [figure.add_subplot(rows, columns, index + 1) for index in range(rows * columns)]
    for panel in axes:
        panel.set_axis_off()
    return figure, axes
