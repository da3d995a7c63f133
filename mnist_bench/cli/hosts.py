"""`mnist-bench hosts`."""

from typing import TYPE_CHECKING, Any

import click

from mnist_bench.cli import _options

if TYPE_CHECKING:
    from mnist_bench.hosts import Processor

ASK_S = 60.0  # for a worker to start, with NumPy, under emulation


@click.command(
    epilog="""\b
Examples:
  # which hosts there are, and what is missing
  mnist-bench hosts
  # fetch ARM programs, for all ARM processors
  mnist-bench hosts --install cortex-a53
  # fetch onnxruntime-node, by npm
  mnist-bench hosts --install node
  # build the C++ program, with CMake
  mnist-bench hosts --install cpp
  # fetch onnxruntime-web, by npm
  mnist-bench hosts --install browser
  # also test the emulators
  mnist-bench hosts --check
  # for a program
  mnist-bench hosts --format json
"""
)
@click.option("--install", "wanted", metavar="NAME", help="Install what a host needs, into the cache folder only.")
@click.option("--check", is_flag=True, help="Also check each emulator against answers that are known.")
@_options.renderer
@_options.quiet
def command(wanted: str | None, check: bool, renderer: str, quiet: int) -> None:
    """List where a worker can run, and what is missing.

    Hosts are this machine, emulated processors, Node, a browser and a C++ program. The instruction sets shown are those
    that a worker running there reports.
    """
    import mnist_bench.report as report
    from mnist_bench import hosts
    from mnist_bench.cli._output import print_tables, show_result
    from mnist_bench.cli._progress import tell
    from mnist_bench.cli._screen import say
    from mnist_bench.core.errors import CheckFailed

    if wanted is not None:
        made = hosts.install(wanted, lambda line: None if quiet else tell(line))
        show_result(quiet, tables=lambda: say(f"{made}\n"), line=lambda: str(made))
        return
    names = ("Host", "Emulator", "Model", "Instruction sets", "Libraries", "Here")
    asked = {name: _row(name, check) for name in hosts.names() if not hosts.load(name).ARGUMENT}
    rows = [row for row, _ in asked.values()]
    notes = [
        "verify --cpu asks emulated processors: before one counts, it gives answers that are known. It is never timed.",
        "--host also takes a command that speaks docs/protocol.md: --command CMD.",
    ]
    table = report.Table("Hosts", [report.Column(one) for one in names], rows, notes=notes)
    show_result(
        0 if renderer != "rich" else quiet,  # a format that programs read was asked for as such
        tables=lambda: print_tables(renderer, [table]),
        line=lambda: f"{sum(row[-1] == 'yes' for row in rows)} of {report.many(len(rows), 'host')} can be used here",
    )
    if check and (failed := [f"{name}: {problem}" for name, (_, problem) in asked.items() if problem]):
        raise CheckFailed("; ".join(failed))


def _row(name: str, check: bool) -> tuple[list[Any], str | None]:
    """Return a host's row, and how it fails: what is not there does not, nor does a trial of the emulator."""
    from mnist_bench import hosts

    processor = hosts.load(name).PROCESSOR
    missing = hosts.load(name).why_unavailable()
    emulator, model = (processor.emulator(), processor.model) if processor else ("none", "this machine")
    if missing:
        return [name, emulator, model, None, None, f"no: {missing.reason}; {missing.remedy}"], None
    sets, problem = _asked(name, processor, check)
    row = [name, emulator, model, sets, _libraries(processor), f"no: {problem}" if problem else "yes"]
    trial = processor is not None and processor.instructions is None
    return row, None if trial else problem


def _asked(name: str, processor: "Processor | None", check: bool) -> tuple[str | None, str | None]:
    """Ask a worker there which instruction sets it has; and say what is wrong with it, if anything is."""
    from mnist_bench import hosts
    from mnist_bench.core.errors import MnistBenchError

    try:
        with hosts.started(hosts.launch(hosts.Host(name)), None, hosts.Limits(ASK_S)) as worker:
            if processor is None and hosts.Host(name) != hosts.HERE:  # a program of another kind, on this processor
                own = hosts.load(name).RUNTIMES or ()
                worker.greet(next(one for one in own if not hosts.why_without(hosts.Host(name), one)))
                return None, None
            proving = processor is not None and check
            features, checks = hosts.prove(worker) if proving else (worker.instructions().features, ())
    except MnistBenchError as error:
        return None, str(error)
    return ", ".join(features) or None, processor.why_refused(features, checks) if processor else None


def _libraries(processor: "Processor | None") -> str:
    from mnist_bench import environment

    shown = ("onnxruntime", "numpy")
    found = processor.libraries() if processor else {one: environment.library_version(one) for one in shown}
    return ", ".join(f"{one} {found[one]}" for one in shown if found.get(one))
