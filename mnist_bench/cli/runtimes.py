"""`mnist-bench runtimes`."""

from typing import TYPE_CHECKING

import click

from mnist_bench.cli import _options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ASK_S = 120  # torch.compile and its friends take seconds to import on a slow disk


@click.command(
    epilog="""\b
Examples:
  # what can run here, and what is missing
  mnist-bench runtimes
  # the same for the GPU
  mnist-bench runtimes --device cuda
  # by pip, into this environment
  mnist-bench runtimes --install openvino
  # into the cache folder
  mnist-bench runtimes --install node
  # for a program
  mnist-bench runtimes --format json
"""
)
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda or cuda:N.")
@click.option(
    "--install",
    multiple=True,
    metavar="NAME",
    help="First install this runtime or host, by pip or into the cache folder. Repeatable.",
)
@_options.renderer
@_options.quiet
def command(device: str, install: tuple[str, ...], renderer: str, quiet: int) -> None:
    """List all runtimes, and how to install what is missing."""
    import mnist_bench.report as report
    from mnist_bench import hosts, runtimes
    from mnist_bench.cli._output import print_tables, show_result
    from mnist_bench.cli._progress import tell
    from mnist_bench.core.errors import BadInput

    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise BadInput(f"unknown device {device!r}: choose cpu, cuda or cuda:N")
    for name in install:
        _install(name, lambda line: None if quiet else tell(line))
    columns = [report.Column(name) for name in ("Runtime", "Version", "Reads", "Precisions", "Devices", "Here")]
    rows = [_row(name, device) for name in runtimes.names()]
    rows += [row for place in hosts.of_one_runtime() for row in _rows_of_host(place, device)]
    ready = sum(row[-1] == "yes" for row in rows)
    show_result(
        0 if renderer != "rich" else quiet,  # a format that programs read was asked for as such
        tables=lambda: print_tables(renderer, [report.Table(f"Runtimes for {device}", columns, rows)]),
        line=lambda: f"{ready} of {report.many(len(rows), 'runtime')} can be used on {device}",
    )


def _install(name: str, tell: "Callable[[str], object]") -> None:
    from mnist_bench import environment, hosts
    from mnist_bench.core.errors import BadInput

    places, extras = hosts.of_one_runtime(), environment.extras()
    if name not in (*places, *extras):
        known = ", ".join(sorted((*places, *extras)))
        raise BadInput(f"there is nothing to install for {name!r}: choose from {known}")
    if name in places:
        hosts.install(name, tell)
    else:
        environment.install_extra(name, tell)


def _rows_of_host(place: str, device: str) -> "Iterator[list[str]]":
    """Yield what runs beside Python on this machine: in Node, say, with a worker of its own."""
    from mnist_bench import environment, hosts, runtimes

    module, missing = hosts.load(place), hosts.load(place).why_unavailable()
    for name in module.RUNTIMES or ():
        reads = runtimes.load(name)
        lacks = missing or hosts.why_without(hosts.Host(place), name)
        here = f"no: {lacks.reason}; {lacks.remedy}" if lacks else "yes"
        if device != "cpu":
            here = f"no: it does not run on {device}; use --device cpu"
        own = getattr(module, "version", None)
        version = own() if own else environment.library_version(reads.LIBRARY) or "–"
        yield [f"{name} on {place}", version, reads.FORMAT or "", ", ".join(reads.PRECISIONS), "cpu", here]


def _row(name: str, device: str) -> list[str]:
    from mnist_bench import environment, parity, runtimes

    module = runtimes.load(name)
    missing = parity.absence(name, device)
    here = f"no: {missing.reason}; {missing.remedy}" if missing else "yes" if device == "cpu" else _on(name, device)
    version = environment.library_version(module.LIBRARY) or "–"
    return [name, version, module.FORMAT or "nothing", ", ".join(module.PRECISIONS), ", ".join(module.DEVICES), here]


def _on(name: str, device: str) -> str:
    """Ask a worker whether a runtime can use a device: only its engine knows."""
    from mnist_bench import hosts
    from mnist_bench.core.errors import MnistBenchError

    try:
        with hosts.started(hosts.launch(hosts.HERE), None, hosts.Limits(ASK_S)) as worker:
            worker.greet(name, device)
    except MnistBenchError as error:
        return f"no: {error}"
    return "yes"
