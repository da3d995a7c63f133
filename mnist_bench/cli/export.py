"""`mnist-bench export`."""

from dataclasses import replace
from typing import Any

import click

from mnist_bench.cli import _options
from mnist_bench.stages import requests


@click.command(
    epilog="""\b
Examples:
  # the newest run, to ONNX
  mnist-bench export --format onnx
  # everything this machine can write
  mnist-bench export --run mnist-relu --format all
  # a page for mnist-bench serve --web
  mnist-bench export --format web
  # quantised, calibrated on training images
  mnist-bench export --format onnx --precision int8

TorchScript is deprecated in PyTorch; torch-export and aotinductor are its successors.
"""
)
@click.option(
    "--format",
    "names",
    multiple=True,
    required=True,
    metavar="NAME",
    help=f"{_options.listed('formats')}, or all. Repeatable.",
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    default=["fp32"],
    show_default=True,
    type=click.Choice([*_options.PRECISIONS, "all"]),
    help="Precision of the file. ONNX has fp32, fp16, int8 and int8-dynamic, other formats fewer. Repeatable.",
)
@_options.run_name
@_options.out
@click.option("--opset", type=click.IntRange(min=1), metavar="N", help="ONNX opset.  [default: the exporter's]")
@click.option(
    "--device", default="cpu", show_default=True, metavar="NAME", help="The device that aotinductor compiles for."
)
@_options.data_dir
@_options.quiet
def command(**given: Any) -> None:
    """Export a trained network to ONNX, TorchScript and others.

    Files go into the run folder; its manifest.json lists them with their hashes.
    """
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
