"""From saved records to what a person sees: `views/` make tables, `figures/` draw, `renderers/` write tables out."""

from collections.abc import Iterator, Sequence
from typing import Any

from mnist_bench.core import plugins
from mnist_bench.core.types import ParityRecord, Record
from mnist_bench.report import renderers
from mnist_bench.report._figures import draw_figures
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions
from mnist_bench.report.views import parity, training

__all__ = ["Cell", "Column", "Table", "Unit", "ViewOptions", "draw_figures", "parity_tables", "render", "tables"]


def tables(records: Sequence[Record], options: ViewOptions, only: Sequence[str] = ()) -> Iterator[Table]:
    """Make the tables of some training runs, those of the views named in `only`, or all.

    Raises:
        BadInput: there is no such view.
    """
    return _build(training, records, options, only)


def parity_tables(record: ParityRecord, options: ViewOptions, only: Sequence[str] = ()) -> Iterator[Table]:
    """Make the tables of a comparison of runtimes; see `tables`."""
    return _build(parity, record, options, only)


def _build(folder: Any, subject: Any, options: ViewOptions, only: Sequence[str]) -> Iterator[Table]:
    for view in [plugins.load(folder, name) for name in only] or plugins.load_all(folder):
        made = list(view.build(subject, options))
        if only and not made:
            name = view.__name__.rpartition(".")[2]
            made = [Table(name, [Column("Nothing to show")], [], notes=["Training has not come so far yet."])]
        yield from made


def render(renderer: str, contents: Sequence[Table], color: bool = False) -> str:
    """Write tables out as text.

    Args:
        renderer: `rich`, `markdown`, `csv` or `json`.
        contents: the tables.
        color: with terminal colours, where the renderer has them.

    Raises:
        BadInput: there is no such renderer.
    """
    text: str = plugins.load(renderers, renderer).render(contents, color)
    return text
