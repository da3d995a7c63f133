"""`mnist-bench run`."""

from typing import Any

import click

from mnist_bench.cli import _options
from mnist_bench.stages import requests


@click.command(
    epilog="""\b
Examples:
  mnist-bench run --dataset digits --quick    offline, in minutes
  mnist-bench run --activation both           real MNIST, ReLU and Sigmoid, everything this machine can do
"""
)
@_options.of_training
@click.option("--quick", is_flag=True, help="Leave out what compiles; bench four runtimes, with all cores.")
@click.option("--overwrite", is_flag=True, help="Begin anew.")
@click.option("--allow-busy", is_flag=True, help="Measure although others use this machine.")
@_options.convergence_at
@_options.quiet
@click.pass_context
def command(context: click.Context, /, quick: bool, allow_busy: bool, **given: Any) -> None:
    """Do all of it: train, export, verify, bench, and write one page to look at.

    What is done already is not done again: the same command goes on after Ctrl-C. What cannot be done here is named on
    the page and does not stop the rest. Exit code 1 where a runtime does not give the reference's answers.
    """
    from mnist_bench.cli import _run

    training = requests.Train(**given, resume=not given["overwrite"], typed=_options.typed(context))
    _run.carry_out(requests.Run(training=training, quick=quick, allow_busy=allow_busy))
