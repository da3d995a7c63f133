"""Which pictures a command line names: files, folders, stdin."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mnist_bench import data
from mnist_bench.cli._screen import complain
from mnist_bench.core import limits
from mnist_bench.core.errors import BadInput

STDIN = Path("-")


def sources(files: Sequence[Path]) -> list[data.Source]:
    """Return what files and folders hold, those of a folder by name; what a folder holds besides pictures is told.

    Raises:
        BadInput: a folder holds no picture or cannot be read, stdin is named twice or is too large.
    """
    if files.count(STDIN) > 1:
        raise BadInput("stdin can be read only once: give - once")
    return [source for path in files for source in _of(path)]


def _of(path: Path) -> Iterator[data.Source]:
    if path == STDIN:
        yield data.Source(name="stdin", content=_from_stdin())
    elif path.is_dir():
        yield from map(_source, _in_folder(path))
    else:
        yield _source(path)


def _source(path: Path) -> data.Source:
    return data.Source(name=str(path), path=os.path.abspath(path))  # noqa: PTH100 not resolved


def _in_folder(folder: Path) -> list[Path]:
    """Return the pictures of a folder, by name; not those below it."""
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise BadInput(f"{folder} cannot be read: {error.strerror}") from error
    pictures = [path for path in inside if path.suffix.lower() in data.SUFFIXES and not path.name.startswith(".")]
    others = len(inside) - len(pictures)
    if not pictures:
        raise BadInput(f"{folder} holds no picture whose name ends in {', '.join(data.SUFFIXES)}")
    if others:
        complain(f"{folder}: {others:,} other{'s' if others > 1 else ''} in there passed over")
    return pictures


def _from_stdin() -> bytes:
    content = sys.stdin.buffer.read(limits.PICTURE_BYTES + 1) if sys.stdin else b""
    if len(content) > limits.PICTURE_BYTES:
        raise BadInput(f"stdin is larger than {limits.spelled(limits.PICTURE_BYTES)}")
    return content
