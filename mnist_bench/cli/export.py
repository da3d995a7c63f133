"""`mnist-bench export`."""

from dataclasses import replace
from typing import Any

import click

from mnist_bench.cli import _options
from mnist_bench.stages import requests


@click.command(
    epilog="""\b
Examples:
  mnist-bench export --format onnx                     the newest run, to ONNX
  mnist-bench export --run mnist-relu --format all     everything that this machine can write
  mnist-bench export --format web                      a page that runs it in a browser: mnist-bench serve --web
  mnist-bench export --format onnx --precision int8    quantised, calibrated on training images

TorchScript is deprecated in PyTorch; torch-export and aotinductor succeed it.
"""
)
@click.option(
    "--format",
    "names",
    multiple=True,
    required=True,
    metavar="NAME",
    help=f"One of {_options.listed('formats')}, or all; can be repeated.",
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    default=["fp32"],
    show_default=True,
    type=click.Choice([*_options.PRECISIONS, "all"]),
    help="Can be repeated. ONNX holds all; others are refused what they cannot hold.",
)
@_options.run_name
@_options.out
@click.option("--opset", type=click.IntRange(min=1), help="ONNX opset.  [default: the exporter's]")
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="What aotinductor compiles for.")
@_options.data_dir
@_options.quiet
def command(**given: Any) -> None:
    """Write a trained network for deployment, into its run folder, and enter the files into its manifest."""
    import mnist_bench.report as report
    from mnist_bench import environment, store
    from mnist_bench.cli._output import newest_run, print_tables, show_result
    from mnist_bench.stages import exporting

    asked = requests.Export(**given)
    folder = store.run_folder(asked.out, asked.name or newest_run(asked.out))
    store.load_record(folder)
    asked = replace(asked, device=environment.resolve_device(asked.device))
    record, outcomes = exporting.export(folder, asked, lambda line: _say(line, quiet=bool(asked.quiet)))
    show_result(
        asked.quiet,
        tables=lambda: print_tables("rich", [report.exports_table(record.name, outcomes)]),
        line=lambda: report.exports_line(record.name, outcomes),
    )
    exporting.check(outcomes, skipping_is_failing="all" not in asked.names)


def _say(line: str, *, quiet: bool) -> None:
    from mnist_bench.cli._screen import complain
    from mnist_bench.cli._signals import heed

    heed()
    if not quiet:
        complain(line)
