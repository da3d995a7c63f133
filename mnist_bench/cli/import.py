"""`mnist-bench import`."""  # noqa: N999 the command's name

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_bench.cli import _options
from mnist_bench.stages import requests

if TYPE_CHECKING:
    from mnist_bench.core.types import Record
    from mnist_bench.report import Cell, Table

NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@click.command(
    epilog="""\b
Examples:
  # becomes the run `model`
  mnist-bench import model.onnx
  # a state_dict saved by torch.save
  mnist-bench import net.pt --run notebook
  # IDX files, or a folder of PNGs
  mnist-bench import model.onnx --dataset ./my-digits
  # export, verify, bench, and the page
  mnist-bench run --run model

Reads ONNX, safetensors, a state_dict, scikit-learn's MLPClassifier (skops) and Keras' .keras; TorchScript and .pt2,
which are programs, with --trust-code.
"""
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--run",
    "name",
    metavar="NAME",
    callback=_options.not_empty,
    help="Name of the run.  [default: the name of the file]",
)
@_options.out
@click.option("--dataset", default="mnist", show_default=True, metavar="NAME", help="The dataset to verify it on.")
@_options.data_dir
@click.option("--output", default="", metavar="NAME", help="The output to use, if there are several.")
@click.option(
    "--activation",
    type=click.Choice(["relu", "sigmoid"]),
    help="Activation, for a file of weights only.  [default: the more accurate]",
)
@click.option(
    "--pixels",
    type=click.Choice(["unit", "bytes", "normalised", "inverted"]),
    help="Pixels that the model expects: 0 to 1, 0 to 255, mean 0.1307 and deviation 0.3081, or dark on light.  "
    "[default: the most accurate]",
)
@click.option(
    "--trust-code", is_flag=True, help="Allow a file that is a program: TorchScript and .pt2 can run any code."
)
@click.option("--overwrite", is_flag=True, help="Replace a run of the same name.")
@_options.quiet
def command(**given: Any) -> None:
    """Make a run from a model file of your own.

    Export, verify, bench, report and run then work on it. The shape and type of an image, the range of its pixels and
    the output to use are read from the file, or found by trial if the file does not say. Every adaptation is printed
    and saved. Weights of the specified network (784-512-256-10) are recognised in any layout; any other network is kept
    as its graph.
    """
    from mnist_bench import data, importing, store
    from mnist_bench.cli._output import show_result
    from mnist_bench.cli._progress import tell_remarks
    from mnist_bench.cli._screen import complain

    asked = requests.Import(**given)
    folder = store.run_folder(asked.out, asked.name or _name_of(asked.file))
    if not asked.overwrite:
        store.check_new(folder, resumable=False)
    dataset = data.load(asked.dataset, asked.data_dir)
    if not asked.quiet:
        tell_remarks(dataset)
    wanted = importing.Wanted(
        asked.file, dataset, asked.output, asked.activation, asked.pixels, trusted=asked.trust_code
    )
    with store.locked(folder):
        record = importing.bring(wanted, folder, (lambda _: None) if asked.quiet else complain)
    show_result(asked.quiet, tables=lambda: _show(record, asked), line=lambda: _line(record))


def _name_of(file: Path) -> str:
    """Make a run's name of a file's."""
    return NO_NAME.sub("-", file.stem).strip("-._")[:100] or "imported"


def _show(record: "Record", asked: requests.Import) -> None:
    from mnist_bench.cli._output import print_tables
    from mnist_bench.cli._screen import say
    from mnist_bench.core.commands import line

    print_tables("rich", [_table(record)])
    words = ("--run", record.name)
    say(f"Next: {line('verify', *words, out=asked.out)}, or all of it: {line('run', *words, out=asked.out)}\n")


def _line(record: "Record") -> str:
    found, final = record.imported, record.final
    assert found
    assert final
    return (
        f"{record.name}: {found.kind} imported, {record.parameters:,} parameters, {found.precision}, "
        f"{final.test.accuracy:.2%} test accuracy"
    )


def _table(record: "Record") -> "Table":
    from mnist_bench.report import Column, Quantity, Table, Unit

    found, final = record.imported, record.final
    assert found
    assert final
    rows: list[list[Cell]] = [
        ["File", f"{found.source}: {found.kind}{found.producer and f' by {found.producer}'}"],
        ["Network", record.network],
        ["Parameters", Quantity(record.parameters, Unit.COUNT)],
        ["Precision", found.precision],
        ["Takes and gives", "; ".join(found.signature.said()) or "images as ours are"],
        ["Test accuracy", Quantity(final.test.accuracy, Unit.SHARE)],
        ["Training accuracy", Quantity(final.train.accuracy, Unit.SHARE)],
    ]
    return Table(f"Imported as {record.name}", [Column("What"), Column("Found")], rows, notes=list(found.notes))
