"""`mnist-bench env`."""

import click

from mnist_bench.cli import _options


@click.command(
    epilog="""\b
Examples:
  mnist-bench env                 this machine, its libraries, its peaks
  mnist-bench env --format json   for a bug report
"""
)
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda or cuda:N.")
@click.option(
    "--threads",
    callback=_options.numbers,
    metavar="N,…",
    default="1,all",
    show_default=True,
    help="Threads to measure.",
)
@_options.renderer
def command(device: str, threads: tuple[int, ...], renderer: str) -> None:
    """Show this machine, what affects its speed, and its peak rates."""
    from msgspec.structs import replace

    import mnist_bench.report as report
    from mnist_bench import environment
    from mnist_bench.bench import session
    from mnist_bench.cli._output import print_tables

    concrete = environment.resolve_device(device)
    found, conditions = environment.collect(concrete), environment.conditions(concrete)
    probed = session.probe(concrete, threads)
    conditions = replace(conditions, builds=probed.builds)
    print_tables(renderer, report.environment_tables(found, conditions, probed.limits))
