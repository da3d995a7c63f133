"""From material to the page's bytes."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mnist_bench
from mnist_bench import store
from mnist_bench.core import plugins
from mnist_bench.core import text as words
from mnist_bench.core.dataset_names import shown
from mnist_bench.report import answers
from mnist_bench.report._material import Material
from mnist_bench.report._table import Quantity, Table, Unit, ViewOptions
from mnist_bench.report.answers import Answer
from mnist_bench.report.page import sections
from mnist_bench.report.page._blocks import Block
from mnist_bench.report.page._svg import inline_svg
from mnist_bench.report.renderers._format import text


@dataclass(frozen=True)
class Section:
    """A part of the page: its anchor, its heading, and what stands in it."""

    anchor: str
    title: str
    blocks: Sequence[Block]


PAGE = "report.html"
NAMED = 2
"""So many runs are named in the title; of more, how many there are."""
WIDE_INCHES = 8.0
"""From here on a picture has no other beside it."""


def write_page(material: Material, folder: Path, options: ViewOptions | None = None) -> Path:
    """Write the page of some runs into a folder, atomically; return its path.

    Args:
        material: the runs, what was found of them, and their images.
        folder: usually the first run's.
        options: what a reader can choose.

    Raises:
        OutputUnwritable: the folder cannot be written.
    """
    path = folder / PAGE
    store.declare(folder, PAGE)
    store.write_atomically(path, render_page(material, options or ViewOptions()).encode("utf-8", "replace"))
    return path


def render_page(material: Material, options: ViewOptions) -> str:
    """Return the page as HTML: one document that needs nothing else."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    jinja = Environment(
        loader=PackageLoader("mnist_bench.report.page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_finalized,
    )
    style = jinja.get_template("style.css").render()
    jinja.filters |= {"kind": lambda block: type(block).__name__, "cell": text, "numbers": _numbers, "dataset": shown}
    names = [record.name for record in material.records]
    page = jinja.get_template("page.html")
    return page.render(
        title=" and ".join(names) if len(names) <= NAMED else f"{len(names)} runs",
        material=material,
        sections=list(_sections(material, options)),
        style=style,
        style_hash=_hash(style),
        version=mnist_bench.__version__,
        svg=_Numbered(),
    ).lstrip()


def _finalized(value: Any) -> Any:
    """Clean whatever words are set into the page; markup stays markup."""
    if not isinstance(value, str):
        return value
    return type(value)(words.clean(value))


def _sections(material: Material, options: ViewOptions) -> Iterator[Section]:
    told = _answered(material, options)
    for module in plugins.load_all(sections):
        anchor = module.__name__.rpartition(".")[2].replace("_", "-")
        blocks = [*told.get(anchor, []), *module.build(material, options)]
        if blocks:
            yield Section(anchor, module.TITLE, blocks)


def _answered(material: Material, options: ViewOptions) -> dict[str, list[Answer]]:
    """Return the written answers by the section that shows their numbers: each opens it."""
    found: dict[str, list[Answer]] = {}
    for module in plugins.load_all(answers):
        for answer in module.build(material, options):
            found.setdefault(answer.evidence, []).append(answer)
    return found


def _numbers(table: Table) -> list[bool]:
    """Tell which columns hold nothing but numbers: these are set flush right."""
    cells = [[row[place] for row in table.rows] for place in range(len(table.columns))]
    return [
        column.unit is not Unit.TEXT or (bool(found) and all(isinstance(cell, Quantity) for cell in found))
        for column, found in zip(table.columns, cells, strict=True)
    ]


def _hash(style: str) -> str:
    """Return what a content-security policy calls a style that it allows."""
    return "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


class _Numbered:
    """Draws pictures, each with ids of its own."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, picture: Any) -> dict[str, Any]:
        """Return the markup of a picture, the id that its caption is to have, and whether it needs the whole width."""
        from markupsafe import Markup

        self.count += 1
        key = f"p{self.count}"
        markup = Markup(inline_svg(picture.figure, key, f"{key}-says"))  # noqa: S704 made here
        wide = picture.figure.get_figwidth() > WIDE_INCHES
        return {"markup": markup, "caption": f"{key}-says", "wide": wide}
