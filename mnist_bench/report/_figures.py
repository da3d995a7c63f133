"""Drawing all figures of some records into their run folders."""

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_bench import store
from mnist_bench.core import plugins
from mnist_bench.core.errors import MnistBenchError
from mnist_bench.core.types import Record, Skipped
from mnist_bench.data import Dataset

if TYPE_CHECKING:
    from mnist_bench.report.figures._style import Picture

FOLDER = "figures"


def draw_figures(records: Sequence[Record], out: Path, load: Callable[[], Dataset]) -> Iterator[Path | Skipped]:
    """Write every figure as PNG and SVG into `figures/` of the run that it belongs to.

    Args:
        records: the runs; a figure that compares goes into the first one's folder.
        out: the folder that holds the run folders.
        load: loads the dataset, for the figures that show images.

    Yields:
        Each file written, and what could not be drawn.

    Raises:
        OutputUnwritable: a file cannot be written.
    """
    import matplotlib as mpl

    from mnist_bench.report import figures
    from mnist_bench.report.figures._style import STYLE, Picture

    dataset = _load_matching(records, load)
    with mpl.rc_context(STYLE):
        for module in plugins.load_all(figures):
            for picture in module.build(records, dataset):
                if isinstance(picture, Picture):
                    yield from _write(picture, out / picture.run / FOLDER)
                else:
                    yield picture


def _load_matching(records: Sequence[Record], load: Callable[[], Dataset]) -> Dataset | Skipped:
    if len({frozenset(record.dataset.sha256.items()) for record in records}) > 1:
        return Skipped("images", "the runs are of different datasets", "report them one by one")
    try:
        dataset = load()
    except MnistBenchError as error:
        return Skipped("images", str(error), "see --data-dir")
    if dataset.sha256 != records[0].dataset.sha256:
        return Skipped("images", f"this is not the {dataset.name} that was trained on", "give the same --data-dir")
    return dataset


def _write(picture: "Picture", folder: Path) -> Iterator[Path]:
    with store.explained(folder):
        folder.mkdir(exist_ok=True)
    for suffix, extra in ((".png", {"dpi": 144}), (".svg", {"metadata": {"Date": None}})):
        path, content = folder / f"{picture.stem}{suffix}", io.BytesIO()
        picture.figure.savefig(content, format=suffix[1:], **extra)
        store.write_atomically(path, content.getvalue())
        yield path
