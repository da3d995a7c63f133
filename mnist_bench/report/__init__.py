"""From saved records to what a person sees: `views/` make tables, `figures/` draw, `renderers/` write tables out."""

from collections.abc import Iterator, Sequence

from mnist_bench.core import plugins
from mnist_bench.core.types import Record
from mnist_bench.report import renderers, views
from mnist_bench.report._figures import draw_figures
from mnist_bench.report._table import Table, ViewOptions

__all__ = ["Table", "ViewOptions", "draw_figures", "render", "tables", "view_names"]


def view_names() -> tuple[str, ...]:
    """Return the names of all views."""
    return plugins.names(views)


def tables(records: Sequence[Record], options: ViewOptions, only: Sequence[str] = ()) -> Iterator[Table]:
    """Make the tables of some records, those of the views named in `only`, or all.

    Raises:
        BadInput: there is no such view.
    """
    chosen = [plugins.load(views, name) for name in only] or plugins.load_all(views)
    for view in chosen:
        yield from view.build(records, options)


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
