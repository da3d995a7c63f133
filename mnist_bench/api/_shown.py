"""How results show themselves: in a notebook as HTML, on a terminal as rich's tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mnist_bench.report as reporting

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType


class Shown:
    """What `_blocks` yields is shown: tables, pictures, sentences."""

    __slots__ = ()

    def _blocks(self) -> Iterator[reporting.Block]:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return reporting.fragment(list(self._blocks()))

    def __rich_console__(self, _console: "Console", _options: "ConsoleOptions") -> "Iterator[RenderableType]":
        yield from reporting.on_terminal(list(self._blocks()))


@dataclass(frozen=True, slots=True, repr=False)
class View(Shown):
    """Some tables, pictures and sentences: `blocks`, in their order."""

    blocks: tuple[reporting.Block, ...]

    def _blocks(self) -> Iterator[reporting.Block]:
        yield from self.blocks

    def __repr__(self) -> str:
        return f"View({', '.join(map(_named, self.blocks))})"


def _named(block: reporting.Block) -> str:
    match block:
        case reporting.Table(title):
            return repr(title)
        case reporting.Answer(question):
            return repr(question)
        case reporting.Verdict():
            return repr(block.word)
    return repr(str(block)) if not hasattr(block, "stem") else repr(block.stem)
