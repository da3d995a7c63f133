"""Reporting: one run, or several beside each other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mnist_bench.report as reporting
from mnist_bench import data
from mnist_bench.api._runs import Named, folder_of, images_of
from mnist_bench.api._shown import Shown, View
from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import DEFAULT_CONVERGENCE_AT, DEFAULT_OUT
from mnist_bench.core.types import Record
from mnist_bench.stages.options import Place


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Report(Shown):
    """Runs, and what was exported, compared and measured of them: `material`, gathered when this was made.

    `options` are what a reader chooses; `page` is where the page was written, or None.
    """

    folder: Path
    material: reporting.Material
    options: reporting.ViewOptions
    page: Path | None = None

    @property
    def records(self) -> tuple[Record, ...]:
        """The runs' saved records, in the order in which they were given."""
        return tuple(self.material.records)

    @property
    def passed(self) -> bool:
        """Whether every run was verified, and all its targets give the reference's answers."""
        return all(reporting.verdict(self.material, record)[0] == "passed" for record in self.material.records)

    def tables(self, *names: str) -> View:
        """Return some tables, such as `overfitting` or `convergence`; all where none is named.

        Raises:
            BadInput: there is no such table; the message names all.
        """
        return View(tuple(reporting.all_tables(self.material, self.options, names)))

    def figures(self, *names: str) -> View:
        """Return some figures, such as `learning-curves` or `confusion`; all where none is named.

        Raises:
            BadInput: there is no such figure; the message names all.
        """
        return View(tuple(reporting.pictures(self.material, *names)))

    def answers(self, *names: str) -> View:
        """Return some written answers, such as `activations`, `overfitting` or `confusions`; all where none is named.

        Raises:
            BadInput: there is no such answer; the message names all.
        """
        return View(tuple(reporting.answers_to(self.material, self.options, names)))

    def _blocks(self) -> Iterator[reporting.Block]:
        for record in self.material.records:
            yield reporting.Verdict(*reporting.verdict(self.material, record))
        yield _turned(reporting.headline(self.material, self.options))
        yield from reporting.answers_to(self.material, self.options)

    def __repr__(self) -> str:
        page = f", page={str(self.page)!r}" if self.page else ""
        return f"Report({', '.join(repr(record.name) for record in self.records)}{page})"


def _turned(table: reporting.Table) -> reporting.Table:
    """Return a table with a column for every row: of few runs it is narrow."""
    first, *facts = table.columns
    columns = [reporting.Column(first.name), *(reporting.Column(str(row[0])) for row in table.rows)]
    rows = [
        [fact.name, *(_with_unit(row[place], fact.unit) for row in table.rows)] for place, fact in enumerate(facts, 1)
    ]
    return reporting.Table(table.title, columns, rows)


def _with_unit(cell: reporting.Cell, unit: reporting.Unit) -> reporting.Cell:
    return reporting.Quantity(cell, unit) if isinstance(cell, int | float) else cell


def report(
    *runs: Named,
    page: bool = False,
    convergence_at: float = DEFAULT_CONVERGENCE_AT,
    out: Place = DEFAULT_OUT,
    data_dir: Place | None = None,
) -> Report:
    """Show what is known of some runs, side by side; nothing is trained and nothing is measured.

    Args:
        runs: each a `Run`, its name in `out`, or its folder as a Path; the newest where none is given.
        page: write `report.html`, one self-contained page, into the first run's folder.
        convergence_at: the validation accuracy that counts as converged, as a share.
        out: the folder of the run folders.
        data_dir: where to look first for the images; where they are not here, what needs them says so.

    Raises:
        RunNotFound: there is no such run.
        RecordDamaged: a record cannot be read.
        BadInput: two of them have the same name, or `convergence_at` is no share.
    """
    if not 0 < convergence_at <= 1:
        raise BadInput(f"convergence_at must be a share above 0, and at most 1, not {convergence_at!r}")
    chosen = runs or (None,)
    folders = list(dict.fromkeys(folder_of(run, out) for run in chosen))
    _check_names(folders)
    options = reporting.ViewOptions(convergence_at, folders[0].parent)
    material = reporting.with_studies_beside(reporting.gather(folders), folders[0].parent)
    name, place = material.records[0].dataset.name, images_of(chosen[0], data_dir)
    images = reporting.matching_images(material.records, lambda: data.load(name, place, download=False))
    material = replace(material, dataset=images)
    written = reporting.write_page(material, folders[0], options) if page else None
    return Report(folders[0], material, options, written)


def _check_names(folders: Sequence[Path]) -> None:
    """Refuse runs of one name: what is found of a run is told by its name."""
    names = [folder.resolve().name for folder in folders]
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise BadInput(f"two of these runs are called {twice[0]!r}: rename the folder of one, or report each alone")
