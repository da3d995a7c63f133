"""One self-contained page of some runs: no scripts, no outside requests, every field escaped.

A section is a module in `sections/` with a `TITLE` and a `build(material, options)` that yields blocks; `templates/`
hold the page and its style.
"""

from mnist_bench.report.page._write import render_page, write_page

__all__ = ["render_page", "write_page"]
