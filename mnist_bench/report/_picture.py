"""A picture on a terminal, as the network gets it, with what is said to it."""

import io
import math
import os
import shutil
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from mnist_bench.analysis.prediction import Answer, Prediction
from mnist_bench.core import text
from mnist_bench.report._predictions import answers_table, of_likeness, warnings
from mnist_bench.report._table import cleaned
from mnist_bench.report.renderers import rich
from mnist_bench.report.renderers._format import SMALLEST_SHOWN, certainty

SHADES = " .:-=+*#%@"
BAR, WIDEST = 28, 100
"""Columns of a full bar, which with the picture and the longest class takes 80; and of a line of words at most."""
LEFT = (0, 0, 0, 1)


def prediction_text(one: Prediction, *, color: bool) -> str:
    """Draw a picture and the reference's answer; list what each target says; tell what must not be missed."""
    width = min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)
    color = color and not os.environ.get("NO_COLOR")
    console = Console(file=io.StringIO(), width=width, force_terminal=color, no_color=not color, highlight=False)
    said = one.classes[one.answers[0].order[0]]
    console.print(Text.assemble((text.line(one.name), "bold"), ": the network says ", (text.line(said), "bold green")))
    console.print(Padding(Text(f"{text.line('; '.join(one.about))}.", style="dim"), LEFT))
    console.print(Padding(_drawn(one, grey=console.color_system is not None), (1, 0, 1, 1)))
    table = rich.render([cleaned(answers_table(one))], color).rstrip()
    console.file.write(f"{table}\n\n")
    for warning in warnings(one):
        console.print(Padding(Text(f"! {text.line(warning)}", style="bold yellow"), LEFT))
    if likeness := text.line(of_likeness(one.likeness)):
        console.print(Padding(Text(likeness, style="dim"), LEFT))
    console.print()
    assert isinstance(console.file, io.StringIO)
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


def _drawn(one: Prediction, *, grey: bool) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, vertical="middle")
    grid.add_row(_pixels(one.pixels, grey=grey), _bars(one.answers[0], one.classes, grey=grey))
    return grid


def _pixels(pixels: NDArray[np.uint8], *, grey: bool) -> Text:
    """Draw two rows of pixels in a line: as halves of blocks in greys, or as letters that are as dark as both."""
    drawn = Text()
    for upper, lower in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True):
        for above, below in zip(upper, lower, strict=True):
            if grey:
                drawn.append("▀", Style(color=_shade(above), bgcolor=_shade(below)))
            else:
                # The root: half a line of ink would else be hardly seen.
                drawn.append(SHADES[round((len(SHADES) - 1) * math.sqrt((above + below) / (2 * 255)))])
        drawn.append("\n")
    drawn.right_crop()
    return drawn


def _shade(value: int) -> Color:
    return Color.from_rgb(value, value, value)


def _bars(answer: Answer, classes: Sequence[str], *, grey: bool) -> Text:
    """Draw a bar for each class, in their order; the most probable one stands out."""
    assert answer.probabilities is not None
    widest = max(map(len, classes))
    drawn = Text()
    for label, share in enumerate(answer.probabilities.tolist()):
        bar = ("█" if grey else "#") * round(BAR * share)
        line = f"{text.line(classes[label]):>{widest}}  {bar:<{BAR}} {certainty(share):>8}\n"
        drawn.append(line, "bold green" if label == answer.order[0] else "" if share >= SMALLEST_SHOWN else "dim")
    drawn.right_crop()
    return drawn
