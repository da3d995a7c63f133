"""`mnist-bench study`."""

from typing import Any

import click

from mnist_bench.cli import _options
from mnist_bench.stages import requests


@click.command(
    epilog="""\b
Examples:
  mnist-bench study --dataset digits --seeds 8                  offline, in a minute or two
  mnist-bench study --seeds 32                                  ReLU and Sigmoid on MNIST, 32 times each
  mnist-bench study --seeds 64 --resume                         go on after Ctrl-C, or with more seeds
  torchrun --nnodes=4 --nproc-per-node=1 … -m mnist_bench study --seeds 64     on four machines
  mnist-bench report --study study-mnist --figures              its pictures
"""
)
@click.option(
    "--seeds",
    callback=_options.seeds,
    metavar="N|N,N,…",
    help="How many, from 0 on, or which: 3,7,11.  [default: 8; resumed: the saved ones]",
)
@_options.dataset
@_options.data_dir
@_options.validation
@click.option("--activation", type=click.Choice(["relu", "sigmoid", "both"]), default="both", show_default=True)
@_options.training_device
@_options.engine
@_options.epochs
@_options.batch_size
@_options.learning_rate
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Seeds trained at a time.  [default: one a core; 64 on CUDA, as one network]",
)
@click.option("--study", "name", metavar="NAME", help="Name of the study.  [default: study-DATASET]")
@_options.out
@click.option("--resume", is_flag=True, help="Train what a study lacks; start it where there is none.")
@click.option("--overwrite", is_flag=True, help="Replace a study of the same name.")
@_options.convergence_at
@_options.json_output
@_options.quiet
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Train the same network with many seeds, so that ReLU against Sigmoid is a result and not an anecdote.

    Both activations see the same images in the same order with the same dropout masks, seed by seed. What is reported
    is the accuracy after the last epoch, never the best one. Each seed is saved when it is done: Ctrl-C exits 130,
    SIGTERM 143, and --resume goes on. A seed whose process dies is named, the others go on, and the exit code is 3.
    """
    from mnist_bench.cli import _study
    from mnist_bench.cli._output import check_json_path

    asked = requests.Study(**given, typed=_options.typed(context))
    if asked.resume and asked.overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other", context)
    check_json_path(asked.json_path)
    _study.carry_out(asked)
