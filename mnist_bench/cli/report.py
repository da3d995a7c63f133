"""`mnist-bench report`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_bench.cli import _options

if TYPE_CHECKING:
    from mnist_bench.report import Material, ViewOptions


@click.command(
    epilog="""\b
Examples:
  # the newest run
  mnist-bench report
  # compare two runs
  mnist-bench report --run mnist-relu --run mnist-sigmoid
  # every mistake, raw
  mnist-bench report --table misclassified --format csv
  # a summary of a job on GitHub
  mnist-bench report --format markdown >> "$GITHUB_STEP_SUMMARY"
  # one page, into the run folder
  mnist-bench report --html
  # PNG and SVG into the run folder
  mnist-bench report --figures
  # a study
  mnist-bench report --study study-mnist
"""
)
@click.option(
    "--run",
    "names",
    multiple=True,
    metavar="NAME",
    help="Which run; several are compared. Repeatable.  [default: the newest]",
)
@click.option(
    "--study", "studies", multiple=True, metavar="NAME", help="Which study; can be combined with --run. Repeatable."
)
@_options.out
@_options.renderer
@click.option(
    "--table",
    "only",
    multiple=True,
    metavar="NAME",
    help="Only this table, for example run, misclassified, flips or latency. Repeatable.",
)
@_options.convergence_at
@click.option("--html", "page", is_flag=True, help="Write report.html, a self-contained page, into the run folder.")
@click.option("--figures", is_flag=True, help="Write figures (PNG and SVG) into the folders of the runs and studies.")
@_options.data_dir
def command(
    names: tuple[str, ...],
    studies: tuple[str, ...],
    out: Path,
    renderer: str,
    only: tuple[str, ...],
    convergence_at: float,
    page: bool,
    figures: bool,
    data_dir: Path | None,
) -> None:
    """Show saved runs and studies as tables, figures or a page. Nothing is trained or measured."""
    import mnist_bench.report as report
    from mnist_bench import store
    from mnist_bench.cli._output import newest_run, print_tables
    from mnist_bench.cli._screen import complain, say

    if (figures or page) and (only or renderer != "rich"):
        raise click.UsageError("--format and --table are of tables on the screen: not with --html or --figures")
    chosen = dict.fromkeys(names or ([] if studies else [newest_run(out)]))
    material = replace(
        report.gather([store.run_folder(out, name) for name in chosen]),
        studies=report.gather_studies([store.study_folder(out, name) for name in dict.fromkeys(studies)]),
    )
    options = report.ViewOptions(convergence_at, out)
    if figures:
        for drawn in report.draw_figures(_with_images(material, data_dir), out):
            say(f"{drawn}\n")
    if page:
        say(f"{_write_page(_with_images(material, data_dir), out, options)}\n")
    if figures or page:
        return
    for line in material.stale:
        complain(line)
    tables = report.all_tables(material, options, only)
    if renderer == "markdown" and not only:
        say(report.summary(material, options, tables), rendered=True)
    else:
        print_tables(renderer, tables)


def _write_page(material: "Material", out: Path, options: "ViewOptions") -> Path:
    """Write the page into the first run's folder, with the studies that were named, or those of the same data."""
    import mnist_bench.report as report
    from mnist_bench import store

    if not material.records:
        raise click.UsageError("--html is a page of runs: give a --run with the --study")
    if not material.studies:
        material = report.with_studies_beside(material, out)
    return report.write_page(material, store.run_folder(out, material.records[0].name), options)


def _with_images(material: "Material", data_dir: Path | None) -> "Material":
    """Add the images that the runs were trained on, where they are on this machine."""
    import mnist_bench.report as report
    from mnist_bench import data

    records = material.records
    if not records:
        return material
    name = records[0].dataset.name
    return replace(material, dataset=report.matching_images(records, lambda: data.load(name, data_dir, download=False)))
