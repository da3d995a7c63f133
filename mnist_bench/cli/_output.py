"""Where a command's results go: stdout, or a file."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_bench import report, store
from mnist_bench.core.errors import RunNotFound

if TYPE_CHECKING:
    from mnist_bench.core.types import ParityRecord, Record


def print_tables(renderer: str, tables: Iterable[report.Table]) -> None:
    """Print tables to stdout, with colours on a terminal."""
    click.echo(report.render(renderer, list(tables), color=sys.stdout.isatty()), nl=False)


def newest_run(out: Path) -> str:
    """Return the name of the newest run.

    Raises:
        RunNotFound: there is none.
    """
    names = store.run_names(out)
    if not names:
        raise RunNotFound(f"there is no run in {out}: train one with mnist-bench train, or give --out")
    return names[0]


def write_json(records: "Sequence[Record | ParityRecord]", path: Path) -> None:
    """Write one record as a JSON object, several as a list; to stdout where the path is '-'."""
    parts = [store.to_json(record).decode().rstrip() for record in records]
    document = (parts[0] if len(parts) == 1 else "[\n" + ",\n".join(parts) + "\n]") + "\n"
    if path == Path("-"):
        click.echo(document, nl=False)
    else:
        store.write_atomically(path, document.encode())
