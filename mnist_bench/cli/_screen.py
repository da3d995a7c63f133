"""Lines on stdout and stderr, which may be full, closed, or read by nobody any more."""

import contextlib
import os
import sys

import click

from mnist_bench.core import text
from mnist_bench.core.errors import OutputUnwritable


def say(words: str, *, rendered: bool = False) -> None:
    """Write to stdout, and let it arrive; a reader that has gone away, as `head` does, is no error.

    What is `rendered` was made safe to show when it was.

    Raises:
        OutputUnwritable: stdout cannot be written.
    """
    try:
        click.echo(words if rendered else text.clean(words), nl=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        ignore_stdout()
    except OSError as error:
        ignore_stdout()
        raise OutputUnwritable(f"stdout cannot be written: {error.strerror}; send it elsewhere") from error


def in_colour() -> bool:
    """Whether stdout is a terminal whose user wants colours: see no-color.org."""
    return sys.stdout is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def ignore_stdout() -> None:
    """Let nothing that is still to be written to stdout fail."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


def complain(words: str) -> None:
    """Write a line to stderr; nobody may be listening any more."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        click.echo(text.line(words), err=True)
