"""`mnist-bench export`."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from mnist_bench.cli import _options, _requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mnist_bench.core.errors import MnistBenchError
    from mnist_bench.core.kinds import Precision, Skipped
    from mnist_bench.core.types import Artifact, Record
    from mnist_bench.formats import Reference
    from mnist_bench.report import Cell, Table

    Outcome = tuple[str, str, Artifact | Skipped | MnistBenchError]


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
    from mnist_bench import environment, store
    from mnist_bench.cli._output import newest_run, print_tables

    asked = _requests.Export(**given)
    folder = store.run_folder(asked.out, asked.name or newest_run(asked.out))
    store.load_record(folder)  # refuses what is no run before a folder is made for its lock
    asked = replace(asked, device=environment.resolve_device(asked.device))
    pairs = list(_pairs(asked))
    with store.locked(folder):
        record = store.load_record(folder)
        outcomes = [(name, kind, _export(folder, record, name, kind, asked)) for name, kind in pairs]
    if not asked.quiet:
        print_tables("rich", [_table(record.name, outcomes)])
    _fail(outcomes, skipping_is_failing="all" not in asked.names)


def _pairs(asked: _requests.Export) -> "Iterator[tuple[str, Precision]]":
    """Yield every format with every precision wanted; a format named on its own must be able to hold them."""
    from mnist_bench import formats
    from mnist_bench.core.errors import BadInput

    precisions = asked.precisions
    for name in formats.names() if "all" in asked.names else dict.fromkeys(asked.names):
        held = formats.precisions(name)
        wanted = held if "all" in precisions else [kind for kind in held if kind in precisions]
        missing = set(precisions) - set(held) - {"all"}
        if missing and "all" not in asked.names:
            raise BadInput(f"{name} cannot hold {', '.join(sorted(missing))}: choose from {', '.join(held)}")
        yield from ((name, kind) for kind in wanted)


def _export(
    folder: "Path", record: "Record", name: str, precision: "Precision", asked: _requests.Export
) -> "Artifact | Skipped | MnistBenchError":
    from mnist_bench import formats
    from mnist_bench.cli._screen import complain
    from mnist_bench.cli._signals import heed
    from mnist_bench.core.errors import MnistBenchError

    heed()
    if not asked.quiet:
        complain(f"exporting {name} {precision} …")
    try:
        return formats.export(
            folder,
            record,
            name,
            precision=precision,
            opset=asked.opset,
            device=asked.device,
            data_dir=asked.data_dir,
            reference=lambda: _reference(folder, record, asked),
        )
    except MnistBenchError as error:  # one that fails does not stop the others
        return error


def _reference(folder: "Path", record: "Record", asked: _requests.Export) -> "Reference":
    from mnist_bench import parity

    return parity.reference_answers(folder, record, asked.data_dir)


def _table(run: str, outcomes: "Sequence[Outcome]") -> "Table":
    from mnist_bench.core.types import Artifact
    from mnist_bench.report import Column, Table, Unit

    columns = [
        Column("Format"),
        Column("Precision"),
        Column("File"),
        Column("Bytes", Unit.BYTES),
        Column("Version"),
        Column("Took", Unit.SECONDS),
    ]
    rows: list[list[Cell]] = []
    for name, precision, done in outcomes:
        if isinstance(done, Artifact):
            rows.append([name, precision, done.name, done.size_bytes, done.version, done.export_s])
        else:
            rows.append([name, precision, str(done), None, None, None])
    return Table(f"Exported from {run}", columns, rows)


def _fail(outcomes: "Sequence[Outcome]", skipping_is_failing: bool) -> None:
    """Raise one error for all exports that failed, with the exit code of the first."""
    from mnist_bench.core.child import ChildFailed
    from mnist_bench.core.errors import MnistBenchError, TargetUnavailable
    from mnist_bench.core.kinds import Skipped

    skipped = [done for *_, done in outcomes if isinstance(done, Skipped)]
    failed = [(name, kind, done) for name, kind, done in outcomes if isinstance(done, MnistBenchError)]
    if failed:
        reasons = "; ".join(f"{name} {kind}: {error}" for name, kind, error in failed)
        raise ChildFailed(f"{len(failed)} of {len(outcomes)} exports failed: {reasons}", failed[0][2].exit_code)
    if skipped and (skipping_is_failing or len(skipped) == len(outcomes)):
        raise TargetUnavailable("; ".join(map(str, skipped)))
