"""`mnist-bench train`."""

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from mnist_bench.cli import _options
from mnist_bench.stages import requests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mnist_bench.core.types import Record


@click.command(
    epilog="""\b
Examples:
  # offline, in seconds
  mnist-bench train --dataset digits
  # ReLU and Sigmoid, compared
  mnist-bench train --activation both
  # continue, or train for longer
  mnist-bench train --run mine --epochs 30 --resume
  # your own network
  mnist-bench train --network net.py:create
  # the record, for a program
  mnist-bench train --json - | python -m json.tool
"""
)
@_options.of_training
@click.option(
    "--network",
    metavar="SOURCE",
    help="Train your own network instead: package.module:factory or file.py:factory. The factory returns a "
    "torch.nn.Module that maps images (n, 1, 28, 28) to logits.",
)
@click.option("--resume", is_flag=True, help="Continue where the run stopped, or start it if there is none.")
@click.option("--overwrite", is_flag=True, help="Replace a run of the same name.")
@click.option(
    "--require-accuracy",
    type=_options.Finite(0, 1),
    metavar="SHARE",
    help="Exit with 1 if the test accuracy is lower, for example 0.97.",
)
@click.option(
    "--track",
    "trackers",
    multiple=True,
    metavar="NAME",
    help=f"Also log to {_options.listed('tracking').replace(', ', ' or ')}. Repeatable.",
)
@_options.convergence_at
@_options.json_output
@_options.quiet
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Train the network and show accuracy, overfitting and errors.

    The protocol: 784-512-256-10, Adam 1e-3, cross-entropy, dropout 0.2, batch 128, 15 epochs. Every epoch is saved.
    Ctrl-C finishes the current step, saves and exits with 130 (SIGTERM: 143); --resume continues with the next image.
    """
    from mnist_bench import tracking, training
    from mnist_bench.cli._audience import audience
    from mnist_bench.cli._output import check_json_path
    from mnist_bench.stages.training import prepare, train_one

    asked = requests.Train(**given, typed=_options.typed(context))
    if asked.resume and asked.overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other", context)
    check_json_path(asked.json_path)
    if asked.network:
        from mnist_bench.cli import _own

        _conclude([_own.train(asked)], asked)
        return
    with training.process_group() as group:
        group.together(lambda: tracking.check_installed(asked.trackers))
        for activation in asked.activations:  # all that can be refused is refused before anything is trained
            group.together(partial(prepare, activation, asked))
        shown = audience(quiet=bool(asked.quiet) or not group.leads)
        records = [train_one(activation, asked, group, shown) for activation in asked.activations]
        group.together(lambda: _conclude(records, asked) if group.leads else None)


def _conclude(records: "Sequence[Record]", asked: requests.Train) -> None:
    _show(records, asked)
    _require_accuracy(records, asked.require_accuracy)


def _show(records: "Sequence[Record]", asked: requests.Train) -> None:
    """Print the tables, or the record, or both, as asked for."""
    import mnist_bench.report as report
    from mnist_bench.cli._output import print_tables, show_result, write_json
    from mnist_bench.cli._screen import say
    from mnist_bench.core.commands import line

    options = report.ViewOptions(asked.convergence_at, asked.out)

    def tables() -> None:
        print_tables("rich", report.tables(records, options))
        names = [word for record in records for word in ("--run", record.name)]
        say(f"Saved in {asked.out}. These tables again: {line('report', *names, out=asked.out)}\n")

    show_result(
        asked.quiet, tables=tables, line=lambda: report.training_line(records, options), data_to=asked.json_path
    )
    if asked.json_path:
        write_json(records, asked.json_path)


def _require_accuracy(records: "Sequence[Record]", required: float | None) -> None:
    from mnist_bench.core.errors import AccuracyTooLow

    for record in records:
        if required is not None and record.final and not record.final.test.accuracy >= required:
            raise AccuracyTooLow(
                f"run {record.name!r} reached {record.final.test.accuracy:.2%} on the test set, less than the "
                f"{required:.2%} required: train for more --epochs, or look at its tables with report"
            )
