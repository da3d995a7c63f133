"""Where a command's results go: stdout, or a file."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from mnist_bench import report, store
from mnist_bench.core.types import Record


def print_tables(renderer: str, tables: Iterable[report.Table]) -> None:
    """Print tables to stdout, with colours on a terminal."""
    click.echo(report.render(renderer, list(tables), color=sys.stdout.isatty()), nl=False)


def write_json(records: Sequence[Record], path: Path) -> None:
    """Write one record as a JSON object, several as a list; to stdout where the path is '-'."""
    parts = [store.to_json(record).decode().rstrip() for record in records]
    document = (parts[0] if len(parts) == 1 else "[\n" + ",\n".join(parts) + "\n]") + "\n"
    if path == Path("-"):
        click.echo(document, nl=False)
    else:
        store.write_atomically(path, document.encode())
