"""`mnist-bench study`."""

from typing import Any

import click

from mnist_bench.cli import _options
from mnist_bench.stages import requests


@click.command(
    epilog="""\b
Examples:
  # offline, in a minute or two
  mnist-bench study --dataset digits --seeds 8
  # MNIST, 32 times each
  mnist-bench study --seeds 32
  # continue, or add more seeds
  mnist-bench study --seeds 64 --resume
  # on four machines
  torchrun --nnodes=4 --nproc-per-node=1 … -m mnist_bench study --seeds 64
  # its figures
  mnist-bench report --study study-mnist --figures
"""
)
@click.option(
    "--seeds",
    callback=_options.seeds,
    metavar="N|N,N,…",
    help="Number of seeds, counted from 0, or a list such as 3,7,11.  [default: 8; with --resume the saved ones]",
)
@_options.dataset
@_options.data_dir
@_options.validation
@click.option(
    "--activation",
    type=click.Choice(["relu", "sigmoid", "both"]),
    default="both",
    show_default=True,
    help="Activation of the hidden layers.",
)
@_options.training_device
@_options.engine
@_options.epochs
@_options.batch_size
@_options.learning_rate
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Seeds trained at the same time.  [default: one per core; on CUDA 64, as one network]",
)
@click.option("--study", "name", metavar="NAME", help="Name of the study.  [default: study-DATASET]")
@_options.out
@click.option("--resume", is_flag=True, help="Train the seeds that the study lacks, or start it if there is none.")
@click.option("--overwrite", is_flag=True, help="Replace a study of the same name.")
@_options.convergence_at
@_options.json_output
@_options.quiet
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Train from many seeds and compare ReLU with Sigmoid.

    For each seed, both activations see the same images in the same order with the same dropout masks. The accuracy
    reported is that after the last epoch, never the best one. Each seed is saved when it is done: after Ctrl-C (exit
    code 130) or SIGTERM (143), --resume continues. If a process dies, its seed is named, the others continue, and the
    exit code is 3.
    """
    from mnist_bench.cli import _study
    from mnist_bench.cli._output import check_json_path

    asked = requests.Study(**given, typed=_options.typed(context))
    if asked.resume and asked.overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other", context)
    check_json_path(asked.json_path)
    _study.carry_out(asked)
