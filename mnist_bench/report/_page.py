"""One self-contained page of some runs; what it is made of lies in `page/`, which is imported when it is written."""

from pathlib import Path

from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions


def write_page(material: Material, folder: Path, options: ViewOptions | None = None) -> Path:
    """Write `report.html` into a folder, atomically, and return its path; see `page`."""
    from mnist_bench.report import page

    return page.write_page(material, folder, options or ViewOptions())
