"""`mnist-bench run`."""

from typing import Any

import click

from mnist_bench.cli import _options
from mnist_bench.stages import requests


@click.command(
    epilog="""\b
Examples:
  mnist-bench run --dataset digits --quick   offline, in minutes
  mnist-bench run --activation both          real MNIST, all that runs here
"""
)
@_options.of_training
@click.option(
    "--quick", is_flag=True, help="Skip what has to be compiled; benchmark four runtimes only, with all cores."
)
@click.option("--overwrite", is_flag=True, help="Start again from scratch.")
@click.option("--allow-busy", is_flag=True, help="Measure even if the machine is busy with something else.")
@_options.convergence_at
@_options.quiet
@click.pass_context
def command(context: click.Context, /, quick: bool, allow_busy: bool, **given: Any) -> None:
    """Train, export, verify, benchmark and write one page.

    Rerun to resume; finished stages are skipped. What cannot be done on this machine is named on the page and does not
    stop the rest. Exit code 1: a runtime does not give the reference's answers. Exit code 3: of one nothing is known.
    """
    from mnist_bench.cli import _run

    training = requests.Train(**given, resume=not given["overwrite"], typed=_options.typed(context))
    _run.carry_out(requests.Run(training=training, quick=quick, allow_busy=allow_busy))
