"""Tables, pictures and sentences as one piece of HTML, which a notebook shows below a cell; and for a terminal."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

from mnist_bench.core import text
from mnist_bench.core.kinds import Skipped
from mnist_bench.report._deployment import WORD_OF, State
from mnist_bench.report._table import Table, cleaned
from mnist_bench.report.answers import Answer
from mnist_bench.report.renderers import html

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mnist_bench.report.figures._style import Picture

GRID = "display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24em), 1fr)); max-width: 64em; gap: 1em"
FIGURE, WHOLE_ROW = "margin: 0.3em 0", "margin: 0.3em 0; grid-column: 1 / -1"
PAPER = "max-width: 100%; background: #fff"  # its ink is dark, whatever the notebook's ground
WIDE_INCHES = 7
"""A figure so wide has words that could not be read at half the width."""

SAYS = "max-width: 60em; opacity: 0.75; font-size: 90%"
GROUNDS: Mapping[State, str] = {"passed": "#1a7f37", "failed": "#cf222e", "unknown": "#8a5a00"}
INKS: Mapping[State, str] = {"passed": "bold green", "failed": "bold red", "unknown": "bold yellow"}


@dataclass(frozen=True)
class Verdict:
    """Whether all is as it should be, as far as is known, and that in a sentence."""

    state: State
    words: str

    @property
    def word(self) -> str:
        """The verdict in a word, for whoever cannot tell green from red."""
        return WORD_OF[self.state]


Block = Union[Table, "Picture", Skipped, Answer, Verdict]


def fragment(blocks: Sequence[Block]) -> str:
    """Return HTML that needs nothing else: no scripts; pictures are SVG within it, and neighbours stand side by side.

    What is said of a picture is below it, and is its text for whoever cannot see it.
    """
    parts: list[str] = []
    pictures: list[Picture] = []
    for block in blocks:
        if isinstance(block, Table | Skipped | Answer | Verdict):
            parts += [_side_by_side(pictures), _words(block)]
            pictures = []
        else:
            pictures.append(block)
    return "<div>\n" + "".join([*parts, _side_by_side(pictures)]) + "</div>\n"


def _words(block: Table | Skipped | Answer | Verdict) -> str:
    match block:
        case Table():
            return html.render([cleaned(block)])
        case Skipped():
            return f'<p style="{SAYS}">{html.escaped(str(block))}</p>\n'
        case Answer(question, sentences):
            items = "".join(f"<li>{html.escaped(sentence)}</li>\n" for sentence in sentences)
            return f'<p><b>{html.escaped(question)}</b></p>\n<ul style="max-width: 60em">\n{items}</ul>\n'
        case Verdict(state, words):
            ground = f"background: {GROUNDS[state]}; color: #fff; padding: 0.1em 0.5em; border-radius: 0.2em"
            return f'<p><b style="{ground}">{block.word}</b> {html.escaped(words)}</p>\n'


def _side_by_side(pictures: "Sequence[Picture]") -> str:
    drawn = "".join(map(_picture, pictures))
    return f'<div style="{GRID}">\n{drawn}</div>\n' if drawn else ""


def _picture(block: "Picture") -> str:
    from mnist_bench.report.figures._style import saved

    # As an image, not inline: its ids and styles are then its own, and nothing in it could run.
    content = base64.b64encode(saved(block.figure, "svg")).decode()
    style = WHOLE_ROW if block.figure.get_figwidth() >= WIDE_INCHES else FIGURE
    says = html.escaped(block.says)
    return (
        f'<figure style="{style}"><img style="{PAPER}" alt="{says}" src="data:image/svg+xml;base64,{content}">'
        f'<figcaption style="{SAYS}">{says}</figcaption></figure>\n'
    )


def on_terminal(blocks: Sequence[Block]) -> "Iterator[RenderableType]":
    """Yield what rich shows of each: of a picture, what is said of it."""
    from rich.text import Text

    from mnist_bench.report.renderers import rich

    for block in blocks:
        match block:
            case Table():
                yield from rich.drawn(cleaned(block))
            case Answer(question, sentences):
                yield Text(text.line(question), style="bold")
                yield from (Text(f"• {text.line(sentence)}") for sentence in sentences)
            case Verdict(state, words):
                yield Text.assemble((block.word, INKS[state]), f"  {text.line(words)}")
            case Skipped():
                yield Text(text.line(str(block)), style="dim")
            case _:
                yield Text(f"[picture] {text.line(block.says)}", style="dim")
