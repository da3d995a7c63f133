"""`mnist-bench serve`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_bench.cli import _options

if TYPE_CHECKING:
    from mnist_bench.core.webserver import Server

PORT = 8528
"""The usual one: an address that can be kept. Where it is taken and none was named, any that is free."""


@click.command(
    epilog="""\b
Examples:
  # the newest run, in a browser
  mnist-bench serve --web
  # another run and port
  mnist-bench serve --web --run mnist-relu --port 8000
  # on a board; see the next line
  mnist-bench serve --runtime onnxruntime
  # here: the board's answers
  mnist-bench verify \\
    --command 'ssh board mnist-bench serve --runtime onnxruntime'
  # here: the board's times, by its own clock
  mnist-bench bench \\
    --command 'ssh board mnist-bench serve --runtime onnxruntime'
"""
)
@click.option("--runtime", metavar="NAME", help="The runtime to answer with; mnist-bench runtimes lists them.")
@click.option("--web", is_flag=True, help="Serve the page that export --format web made, until Ctrl-C.")
@_options.run_name
@_options.out
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    metavar="N",
    help=f"Port on 127.0.0.1; 0 takes any free one.  [default: {PORT}]",
)
def command(runtime: str | None, web: bool, name: str | None, out: Path, port: int | None) -> int:
    """Serve a run's web page, or be a worker for another machine.

    With --web: serve a page to draw on to browsers on this machine, with the headers that multithreading needs.

    With --runtime: answer the messages of docs/protocol.md on stdin and stdout. Anyone who can write to stdin can have
    files opened, including programs (TorchScript, .pt2): over ssh, that is anyone who can log in.
    """
    if web is (runtime is not None):
        raise click.UsageError("name either --web or --runtime NAME")
    if runtime is not None:
        if name is not None or port is not None:
            raise click.UsageError("--run and --port are of --web: leave them out")
        return _on_stdin(runtime)
    _to_browsers(out, name, port)
    return 0


def _on_stdin(runtime: str) -> int:
    from mnist_bench import runtimes
    from mnist_bench.worker.__main__ import main

    runtimes.load(runtime)  # refuses a name that there is not, in a line and not in a message
    return main(runtime)


def _to_browsers(out: Path, name: str | None, port: int | None) -> None:
    from mnist_bench.cli._screen import complain, say

    with _listening(_files(out, name), port) as server:
        say(f"{server.url}\n")
        complain("Ctrl-C ends it")
        server.serve_forever()


def _files(out: Path, name: str | None) -> dict[str, bytes]:
    """Return the files of a run's page, as they were exported.

    Raises:
        BadInput: there are none, or they are of older weights.
        RecordDamaged: they differ from the manifest.
    """
    from mnist_bench import store
    from mnist_bench.cli._output import newest_run
    from mnist_bench.core.commands import on_run
    from mnist_bench.core.errors import BadInput
    from mnist_bench.core.types import Manifest

    folder = store.run_folder(out, name or newest_run(out))
    record, manifest = store.load_record(folder), store.load(folder, Manifest)
    found = [entry for entry in manifest.artifacts if entry.format == "web"] if manifest else []
    again = on_run("export", folder, "--format", "web")
    if not found:
        raise BadInput(f"run {record.name!r} has no page for browsers: {again}")
    if record.checkpoint is None or found[0].weights_sha256 != record.checkpoint.weights.sha256:
        raise BadInput(f"the page of run {record.name!r} is of older weights: {again}")
    return store.contents(folder, found[0])


def _listening(files: dict[str, bytes], port: int | None) -> "Server":
    """Take the port, or of none in particular one that is free."""
    import errno

    from mnist_bench.core.errors import EnvironmentProblem
    from mnist_bench.core.webserver import LOOPBACK, Server

    try:
        return Server(files, PORT if port is None else port)
    except OSError as error:
        if port is None:
            return Server(files)
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        raise EnvironmentProblem(
            f"port {port} of {LOOPBACK} {why}: choose another by --port, or --port 0 for any that is free"
        ) from error
