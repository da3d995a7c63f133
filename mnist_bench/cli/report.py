"""`mnist-bench report`."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from mnist_bench.cli import _options

if TYPE_CHECKING:
    from mnist_bench.core.bench_types import BenchRecord
    from mnist_bench.core.types import ParityRecord, Record

S = TypeVar("S", bound="ParityRecord | BenchRecord")


@click.command(
    epilog="""\b
Examples:
  mnist-bench report                                         the newest run
  mnist-bench report --run mnist-relu --run mnist-sigmoid    two runs compared
  mnist-bench report --table misclassified --format csv      every mistake, raw
  mnist-bench report --figures                               PNG and SVG into the run folder
"""
)
@click.option("--run", "names", multiple=True, metavar="NAME", help="A run; several compare.  [default: the newest]")
@_options.out
@_options.renderer
@click.option(
    "--table",
    "only",
    multiple=True,
    metavar="NAME",
    help="Only this table, for example run, misclassified, flips or latency; can be repeated.",
)
@_options.convergence_at
@click.option("--figures", is_flag=True, help="Draw the figures into the run folders instead.")
@_options.data_dir
def command(
    names: tuple[str, ...],
    out: Path,
    renderer: str,
    only: tuple[str, ...],
    convergence_at: float,
    figures: bool,
    data_dir: Path | None,
) -> None:
    """Show saved runs: nothing is trained and nothing is measured."""
    from mnist_bench import report
    from mnist_bench.cli._output import print_tables
    from mnist_bench.core.bench_types import BenchRecord, GateRecord, SelfTestRecord, TrainingBenchRecord
    from mnist_bench.core.types import ParityRecord

    records = _records(out, names)
    if figures:
        _draw(records, out, data_dir)
    else:
        comparisons = _of_present_weights(out, records, ParityRecord, "verify")
        benchmarks = [
            saved
            for kind, command in (
                (BenchRecord, "bench"),
                (TrainingBenchRecord, "bench --training"),
                (GateRecord, "bench --gate"),
                (SelfTestRecord, "bench --self-test"),
            )
            for saved in _of_present_weights(out, records, kind, command)
        ]
        options = report.ViewOptions(convergence_at)
        print_tables(renderer, report.all_tables(records, comparisons, benchmarks, options, only))


def _records(out: Path, names: tuple[str, ...]) -> "list[Record]":
    from mnist_bench import store
    from mnist_bench.cli._output import newest_run

    chosen = dict.fromkeys(names or [newest_run(out)])
    return [store.load_record(store.run_folder(out, name)) for name in chosen]


def _of_present_weights(out: Path, records: "list[Record]", kind: "type[S]", command: str) -> "list[S]":
    """Return what a command found of these runs, where it was of their present weights."""
    from mnist_bench import store

    found = []
    for record in records:
        folder = store.run_folder(out, record.name)
        saved = store.load(folder, kind)
        if saved is None and kind in store.UNFINISHED:
            saved = store.load_unfinished(folder, kind)
        weights = record.checkpoint and record.checkpoint.weights.sha256
        if saved and saved.weights_sha256 == weights:
            found.append(saved)
        elif saved:
            click.echo(f"{record.name} was trained further since: run {command} again", err=True)
    return found


def _draw(records: "list[Record]", out: Path, data_dir: Path | None) -> None:
    from mnist_bench import data, report

    for drawn in report.draw_figures(
        records, out, lambda: data.load(records[0].dataset.name, data_dir, download=False)
    ):
        click.echo(str(drawn))
