"""Where a command's results go: stdout, or a file."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import mnist_bench.report as report
from mnist_bench import store
from mnist_bench.cli._screen import in_colour, say
from mnist_bench.core import text
from mnist_bench.core.errors import BadInput, OutputUnwritable, RunNotFound


def print_tables(renderer: str, tables: Iterable[report.Table]) -> None:
    """Print tables to stdout, with colours on a terminal."""
    say(report.render(renderer, list(tables), color=in_colour()), rendered=True)


def show_result(
    quiet: int, *, tables: Callable[[], object], line: Callable[[], str], data_to: Path | None = None
) -> None:
    """Print what came out: with -q in one line, with -qq not at all; nor where stdout is for data, as of `--json -`.

    Args:
        quiet: how often -q was given.
        tables: prints all of it.
        line: makes the line.
        data_to: where the data go that were asked for, `-` being stdout.
    """
    if data_to == Path("-"):
        return
    if not quiet:
        tables()
    elif quiet == 1:
        say(f"{text.line(line())}\n", rendered=True)


def newest_run(out: Path) -> str:
    """Return the name of the newest run.

    Raises:
        RunNotFound: there is none.
    """
    names = store.run_names(out)
    if not names:
        raise RunNotFound(f"there is no run in {out}: train one with mnist-bench train, or give --out")
    return names[0]


def check_json_path(path: Path | None) -> None:
    """Raise OutputUnwritable where a file cannot be there, before hours of work are spent on it.

    Raises:
        BadInput: it is a file of a run, or a study.
    """
    if path is None or path == Path("-"):
        return
    place = _followed(path)
    if not place.parent.is_dir():
        raise OutputUnwritable(f"{path} cannot be written: there is no folder {place.parent}; make it first")
    if place.is_dir():
        raise OutputUnwritable(f"{path} cannot be written: it is a folder; name a file in it")
    if place.exists() and not place.is_file():
        if not os.access(place, os.W_OK):
            raise OutputUnwritable(f"{path} cannot be written: permission denied; change that, or name another file")
        return
    if store.is_of_a_run(place):
        raise BadInput(f"{path} is a file of a run: what is in there would be lost; name another place")
    store.check_writable(place)


def _followed(path: Path) -> Path:
    """Return where a path leads."""
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError is what Python 3.11 and 3.12 raise for links in a circle
        raise OutputUnwritable(
            f"{path} cannot be written: it is a link that leads nowhere; name another place"
        ) from error


def write_json(records: "Sequence[store.Saved]", path: Path) -> None:
    """Write one record as a JSON object, several as a list; to stdout where the path is '-'.

    A file is replaced as a whole; what is no file, such as a pipe or a device, is written to.
    """
    parts = [store.to_json(record).decode().rstrip() for record in records]
    write_text((parts[0] if len(parts) == 1 else "[\n" + ",\n".join(parts) + "\n]") + "\n", path)


def write_text(document: str, path: Path) -> None:
    """Write a document to a file, or to stdout where the path is '-'."""
    if path == Path("-"):
        say(document, rendered=True)
    elif path.exists() and not path.is_file():
        with store.explained(path):
            path.write_text(document, encoding="utf-8")
    else:
        path = _followed(path)
        store.sweep(path.parent, path.name)  # no folder of ours, which is swept as a whole
        store.write_atomically(path, document.encode())
