"""The command `mnist-bench`: its group of commands, and the one door through which errors become exit codes."""

import contextlib
import errno
import io
import os
import signal
import sys
import tempfile
import traceback
from typing import NoReturn

import click

import mnist_bench
from mnist_bench import cli
from mnist_bench.cli._screen import complain, ignore_stdout, say
from mnist_bench.cli._signals import Raising, came, without_words
from mnist_bench.core import collector, plugins, text
from mnist_bench.core.errors import BUG, CTRL_C, ENVIRONMENT, SIGNALLED, USAGE, MnistBenchError
from mnist_bench.core.kinds import PROGRAM

SHOWN_VERSIONS = ("torch", "torchvision", "onnx", "onnxruntime")


class PluginGroup(click.Group):
    """A group whose commands are the modules of the folder `cli/`."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """Return the command names."""
        return list(plugins.names(cli))

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Import one command's module."""
        if name not in plugins.names(cli):
            return None
        command: click.Command = plugins.load(cli, name).command
        return command


def _print_versions(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from importlib import metadata

    installed = {str(found.name).lower(): found.version for found in metadata.distributions() if found.name}
    lines = [f"{PROGRAM} {mnist_bench.__version__}"]
    lines += [f"{name} {installed.get(name, 'not installed')}" for name in SHOWN_VERSIONS]
    say("".join(f"{line}\n" for line in lines))
    context.exit()


@click.group(cls=PluginGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_versions,
    help="Show the versions of mnist-bench and its libraries, and exit.",
)
def group() -> None:
    """Does my exported model still give the same answers, and how fast is it really?

    \b
    Examples:
      mnist-bench run --dataset digits --quick   everything, offline, in minutes
      mnist-bench train --activation both        real MNIST, ReLU and Sigmoid
      mnist-bench verify                         do all runtimes agree?
      mnist-bench bench --quick                  how fast is each?
      mnist-bench report --html                  one page to look at

    \b
    Exit codes: 0 done, 1 a check failed, 2 bad usage or input,
    3 this machine lacks something (network, disk, device),
    70 a bug in mnist-bench, 130 Ctrl-C, 143 SIGTERM.
    """


def main() -> NoReturn:
    """Run the command line and exit."""
    collector.spare()
    _open_standard_streams()
    # By the way of an exception, so that child processes and temporary files are cleaned up.
    terminating = Raising(lambda number: SystemExit(SIGNALLED + number))
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as of what a script starts in the background
        signal.signal(signal.SIGINT, Raising(lambda _: KeyboardInterrupt()))
    signal.signal(signal.SIGTERM, terminating)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # not under nohup
        signal.signal(signal.SIGHUP, terminating)
    sys.unraisablehook = without_words
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show "→" shows "?"
    status = _ended(run(sys.argv[1:]))
    collector.dismiss()
    sys.exit(status)


def _open_standard_streams() -> None:
    """Open what was closed, to nowhere: else the first file that is opened would be written to as stdout."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _ended(status: int) -> int:
    """Let what was printed arrive; Python itself would complain of what cannot, in words of its own."""
    try:
        say("")
    except MnistBenchError as error:
        return status or _complain(str(error), error.exit_code)
    except (KeyboardInterrupt, SystemExit):  # a second one, while the first is being told
        return SIGNALLED + (came() or 0)
    return status


def run(arguments: list[str]) -> int:
    """Run one command line; say what went wrong in one line on stderr; return the exit code."""
    try:
        status = group.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        with contextlib.suppress(OSError):
            click.echo(error.format_message(), err=True)
        return USAGE
    except BaseException as error:  # noqa: BLE001 the last door, Ctrl-C included
        if os.environ.get("MNIST_BENCH_DEBUG"):
            traceback.print_exc()
        if (number := came()) and not isinstance(error, MnistBenchError):  # also what imports make of it
            return _complain("stopped", SIGNALLED + number)
        return _complain(*_explain(error))
    return status if isinstance(status, int) else 0


def _explain(error: BaseException) -> tuple[str, int]:
    """Turn an error into a line and an exit code."""
    match error:
        case MnistBenchError():
            found = str(error), error.exit_code
        case click.ClickException():
            found = _usage(error), USAGE
        case KeyboardInterrupt() | click.Abort():
            found = "stopped", CTRL_C
        case BrokenPipeError():  # who read stdout has read enough
            ignore_stdout()
            found = "", 0
        case OSError():
            found = _of_system(error), ENVIRONMENT
        case SystemExit():
            found = "stopped", error.code if isinstance(error.code, int) else BUG
        case _:
            found = _unexpected(error)
    return found


def _unexpected(error: BaseException) -> tuple[str, int]:
    """Tell memory that is used up, and a library that cannot be loaded, from what is a bug."""
    if text.is_out_of_memory(error):
        return "out of memory: close other programs, or give it less to do", ENVIRONMENT
    if text.is_of_a_library(error):
        return f"a library cannot be loaded: {text.reason(str(error))}", ENVIRONMENT
    return f"bug: {text.of_error(error)} (MNIST_BENCH_DEBUG=1 shows where; please report it)", BUG


def _of_system(error: OSError) -> str:
    """Say what the system refused, and the way out where there is a usual one."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    way_out = f": free some room there{_elsewhere(error.filename)}" if full else ""
    return f"{error.filename or 'this machine'}: {error.strerror or error}{way_out}"


def _elsewhere(path: str | None) -> str:
    return ", or set TMPDIR to another folder" if path and str(path).startswith(tempfile.gettempdir()) else ""


def _complain(message: str, exit_code: int) -> int:
    if message:  # of several processes one speaks for all
        complain(f"{PROGRAM}: {message}")
    return exit_code


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context else ""
    return error.format_message() + hint
