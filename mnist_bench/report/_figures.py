"""Drawing all figures of some records into their run folders."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_bench import store
from mnist_bench.core import plugins
from mnist_bench.core.kinds import Skipped
from mnist_bench.report._material import Material

if TYPE_CHECKING:
    from mnist_bench.report.figures._style import Picture

FOLDER = "figures"


def pictures(material: Material, *names: str) -> "Iterator[Picture | Skipped]":
    """Draw the figures of these modules, or of all; or say what could not be drawn."""
    from mnist_bench.report import figures
    from mnist_bench.report.figures._style import styled

    for module in [plugins.load(figures, name) for name in names] or plugins.load_all(figures):
        with styled():
            found = list(module.build(material))
        yield from found


def draw_figures(material: Material, out: Path) -> Iterator[Path | Skipped]:
    """Write every figure as PNG and SVG into `figures/` of the run, or the study, that it belongs to.

    Args:
        material: the runs, their images, and studies; a figure that compares goes into the first run's folder.
        out: the folder that holds the run folders.

    Yields:
        Each file written, and what could not be drawn.

    Raises:
        OutputUnwritable: a file cannot be written.
    """
    for picture in pictures(material):
        if isinstance(picture, Skipped):
            yield picture
        else:
            store.declare(out / picture.run, f"{FOLDER}/*.png", f"{FOLDER}/*.svg")
            yield from _write(picture, store.subfolder(out / picture.run, FOLDER))


def _write(picture: "Picture", folder: Path) -> Iterator[Path]:
    from mnist_bench.report.figures._style import saved

    for name, content in (("png", saved(picture.figure, "png", dpi=144)), ("svg", saved(picture.figure, "svg"))):
        path = folder / f"{picture.stem}.{name}"
        store.write_atomically(path, content)
        yield path
