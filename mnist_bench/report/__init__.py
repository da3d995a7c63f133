"""From saved records to what a person sees: `views/` make tables, `figures/` draw, `renderers/` write tables out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_bench.analysis.prediction import Prediction
from mnist_bench.core import plugins
from mnist_bench.core.bench_types import BenchRecord
from mnist_bench.core.errors import BadInput
from mnist_bench.core.study_types import StudyRecord
from mnist_bench.core.types import FleetRecord, ParityRecord, Record
from mnist_bench.report import answers, renderers
from mnist_bench.report._closing import closing, verdict
from mnist_bench.report._data import data_tables
from mnist_bench.report._deployment import WORD_OF, State
from mnist_bench.report._exports import exports_line, exports_table
from mnist_bench.report._figures import draw_figures, pictures
from mnist_bench.report._fragment import Block, Verdict, fragment, on_terminal
from mnist_bench.report._github import annotation, annotations, job_summary
from mnist_bench.report._junit import junit
from mnist_bench.report._lines import bench_line, load_line, many, parity_line, study_line, training_line
from mnist_bench.report._material import (
    Material,
    gather,
    gather_studies,
    matching_images,
    present_in,
    with_studies_beside,
)
from mnist_bench.report._measured import comparison_table, environment_tables, load_table
from mnist_bench.report._predictions import predictions_table
from mnist_bench.report._summary import headline, summary
from mnist_bench.report._table import Cell, Column, Quantity, Table, Unit, ViewOptions, cleaned
from mnist_bench.report.answers import Answer
from mnist_bench.report.views import bench, fleet, parity, study, training

if TYPE_CHECKING:
    from mnist_bench.data import Dataset
    from mnist_bench.report.figures._style import Picture

__all__ = [
    "WORD_OF",
    "Answer",
    "Block",
    "Cell",
    "Column",
    "Material",
    "Quantity",
    "State",
    "Table",
    "Unit",
    "Verdict",
    "ViewOptions",
    "all_tables",
    "annotation",
    "annotations",
    "answers_to",
    "bench_line",
    "bench_tables",
    "closing",
    "comparison_table",
    "data_tables",
    "draw_figures",
    "environment_tables",
    "exports_line",
    "exports_table",
    "fleet_tables",
    "fragment",
    "gather",
    "gather_studies",
    "headline",
    "job_summary",
    "junit",
    "load_line",
    "load_table",
    "many",
    "matching_images",
    "on_terminal",
    "parity_line",
    "parity_tables",
    "pictures",
    "prediction_text",
    "predictions_table",
    "present_in",
    "render",
    "samples",
    "study_line",
    "study_tables",
    "summary",
    "tables",
    "training_line",
    "verdict",
    "with_studies_beside",
    "write_page",
]


def tables(records: Sequence[Record], options: ViewOptions, only: Sequence[str] = ()) -> Iterator[Table]:
    """Make the tables of some training runs, those of the views named in `only`, or all.

    Raises:
        BadInput: there is no such view.
    """
    return _build(training, [records], options, only)


def parity_tables(record: ParityRecord, options: ViewOptions, only: Sequence[str] = ()) -> Iterator[Table]:
    """Make the tables of a comparison of runtimes; see `tables`."""
    return _build(parity, [record], options, only)


def fleet_tables(record: FleetRecord, options: ViewOptions, only: Sequence[str] = ()) -> Iterator[Table]:
    """Make the tables of a comparison by processor; see `tables`."""
    return _build(fleet, [record], options, only)


def bench_tables(record: BenchRecord, options: ViewOptions, only: Sequence[str] = ()) -> Iterator[Table]:
    """Make the tables of a benchmark; see `tables`."""
    return _build(bench, [record], options, only)


def study_tables(record: StudyRecord, options: ViewOptions, only: Sequence[str] = ()) -> Iterator[Table]:
    """Make the tables of a study; see `tables`."""
    return _build(study, [record], options, only)


def all_tables(material: Material, options: ViewOptions, only: Sequence[str] = ()) -> Iterator[Table]:
    """Make the tables of some training runs, of what was compared and measured of them, and of studies; see `tables`.

    Raises:
        BadInput: there is no such view.
    """
    subjects: dict[Any, Sequence[Any]] = {
        training: [material.records] if material.records else [],
        parity: material.comparisons,
        fleet: material.fleets,
        bench: material.benchmarks,
        study: material.studies,
    }
    known = {name: folder for folder in subjects for name in plugins.names(folder)}
    if unknown := [name for name in only if name not in known]:
        raise BadInput(f"no table {unknown[0]!r}: choose from {', '.join(known)}")
    for folder, of_folder in subjects.items():
        wanted = [name for name in only if known[name] is folder]
        if wanted or not only:
            yield from _build(folder, of_folder, options, wanted)


def answers_to(material: Material, options: ViewOptions, only: Sequence[str] = ()) -> Iterator[Answer]:
    """Write the answers of some modules in `answers/`, or all that the material carries.

    Raises:
        BadInput: there is no such answer.
    """
    for module in [plugins.load(answers, name) for name in only] or plugins.load_all(answers):
        yield from module.build(material, options)


def _build(folder: Any, subjects: Sequence[Any], options: ViewOptions, only: Sequence[str]) -> Iterator[Table]:
    """Make the tables of one folder of views, subject by subject; a view that was named and shows nothing says so."""
    views = [plugins.load(folder, name) for name in only] or plugins.load_all(folder)
    made = [(view, list(view.build(subject, options))) for subject in subjects for view in views]
    for _, tables_of_view in made:
        yield from tables_of_view
    for name, view in zip(only, views, strict=False):
        if not any(found for one, found in made if one is view):
            yield Table(name, [Column("Nothing to show")], [], notes=["There is nothing to show, or not yet."])


def render(renderer: str, contents: Sequence[Table], color: bool = False) -> str:
    """Write tables out as text.

    Args:
        renderer: `rich`, `markdown`, `html`, `csv` or `json`.
        contents: the tables.
        color: with terminal colours, where the renderer has them.

    Raises:
        BadInput: there is no such renderer.
    """
    text: str = plugins.load(renderers, renderer).render([cleaned(table) for table in contents], color)
    return text


def prediction_text(one: Prediction, *, color: bool) -> str:
    """Draw a picture for a terminal, with what is said to it; with colours, where `color` is wanted."""
    from mnist_bench.report import _picture  # with rich, which CSV need not wait for

    return _picture.prediction_text(one, color=color)


def samples(dataset: "Dataset") -> "Picture":
    """Draw some training images of every class."""
    from mnist_bench.report.figures import samples as figure  # with matplotlib
    from mnist_bench.report.figures._style import styled

    with styled():
        return figure.picture(dataset, dataset.name)


def write_page(material: Material, folder: Path, options: ViewOptions | None = None) -> Path:
    """Write `report.html` into a folder, atomically, and return its path; see `page`."""
    from mnist_bench.report import page  # with what it is made of, which tables need not wait for

    return page.write_page(material, folder, options or ViewOptions())
