"""The first lines of everything: a table of the runs in one line each, and a summary for a pull request or a job."""

from collections.abc import Iterator
from dataclasses import replace
from html import escape

from mnist_bench.analysis.learning import first_epoch_at
from mnist_bench.analysis.parity import by_target, failed, flipped
from mnist_bench.core import plugins
from mnist_bench.core.bench_types import InferenceBenchRecord
from mnist_bench.core.types import ParityRecord, Record
from mnist_bench.report import answers
from mnist_bench.report._deployment import WORD_OF, deployment, fastest_passed
from mnist_bench.report._material import Material
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions
from mnist_bench.report.renderers import markdown
from mnist_bench.report.views.training.overfitting import true_gap

SHOWN_BATCHES = (1, 128)


def headline(material: Material, options: ViewOptions) -> Table:
    """Return a row per run; what was never verified or never benchmarked says so."""
    columns = [
        Column("Run"),
        Column("Test accuracy", Unit.SHARE),
        Column("Errors", Unit.COUNT),
        Column("True gap", Unit.SHARE_DIFFERENCE),
        Column(f"First epoch at {100 * options.convergence_at:g}%", Unit.ORDINAL),
        Column("Runtimes"),
        Column("Certified"),
        *(Column(f"Lowest median, batch {batch}") for batch in SHOWN_BATCHES),
    ]
    return Table("Summary", columns, [_row(material, record, options) for record in material.records])


def _row(material: Material, record: Record, options: ViewOptions) -> list[Cell]:
    final = record.final
    compared = material.comparison_of(record)
    measured = material.inference_of(record)
    return [
        record.name,
        final.test.accuracy if final else None,
        final.test.images - final.test.correct if final else None,
        true_gap(record),
        first_epoch_at(record, options.convergence_at),
        _verdict(compared),
        f"{compared.certificate.certified:,} of {compared.certificate.images:,}" if compared else "not verified",
        *(_lowest_median(measured, batch) for batch in SHOWN_BATCHES),
    ]


def _verdict(compared: ParityRecord | None) -> str:
    if compared is None:
        return "not verified"
    targets = by_target(compared)
    if wrong := [name for name, results in targets.items() if failed(results)]:
        return f"FAILED: {', '.join(wrong)}"
    if lost := [one.target for one in compared.unreachable]:
        return f"NOT KNOWN: {', '.join(lost)}"
    if not targets:
        return "no target was asked"
    flips = sum(flipped(compared, results) for results in targets.values())
    return f"{len(targets)} passed, {flips} flip{'' if flips == 1 else 's'}"


def _lowest_median(measured: InferenceBenchRecord | None, batch: int) -> str:
    """Name the row with the lowest median, whatever its threads, and its interval in µs."""
    best = fastest_passed(measured, None, batch) if measured else None
    if best is None:
        return "not benchmarked"
    own, found = best[0].configuration, best[1]
    ends = f" ({found.interval.low * 1e6:,.1f}–{found.interval.high * 1e6:,.1f})" if found.interval else ""
    return f"{own.target}, {own.threads} thread{'s' if own.threads > 1 else ''}: {found.p50 * 1e6:,.1f}{ends} µs"


LONGEST_ROWS = 20  # of a folded table; the page has them all
LONGEST_CHARACTERS = 60_000
"""GitHub takes 65,536 characters in a comment."""


def summary(material: Material, options: ViewOptions, tables: Iterator[Table]) -> str:
    """Write the headline, the written answers, and the tables folded and cut: well below what GitHub takes.

    Args:
        material: what is reported.
        options: what a reader can choose.
        tables: what to fold, the most important first; those that no longer fit are named instead.
    """
    parts = list(_verdicts(material))
    if material.records:
        parts += [markdown.render([headline(material, options)]), *_answers(material, options)]
    left = LONGEST_CHARACTERS - sum(map(len, parts))
    hidden = []
    for table in tables:
        folded = _folded(table)
        if len(folded) > left:
            hidden.append(table.title)
            continue
        left -= len(folded)
        parts.append(folded)
    if hidden:
        parts.append(f"{len(hidden)} more tables do not fit here: mnist-bench report shows them.\n")
    return "\n".join(parts)


def _verdicts(material: Material) -> Iterator[str]:
    """Say of each run whether it may be deployed, and what speaks against it, as the page does first."""
    for record in material.records:
        found = deployment(material, record)
        sentence = markdown.escaped(f"{record.name}: {found.sentence}.")
        causes = "".join(f"- {markdown.escaped(cause)}\n" for cause in found.causes)
        yield f"**{WORD_OF[found.state]}** {sentence}\n" + (f"\n{causes}" if causes else "")


def _answers(material: Material, options: ViewOptions) -> Iterator[str]:
    for module in plugins.load_all(answers):
        for answer in module.build(material, options):
            sentences = "".join(f"- {markdown.escaped(sentence)}\n" for sentence in answer.sentences)
            yield f"**{markdown.escaped(answer.question)}**\n\n{sentences}"


def _folded(table: Table) -> str:
    rows = min(table.preview or LONGEST_ROWS, LONGEST_ROWS)
    more = len(table.rows) - rows
    notes = [*table.notes, *([f"{more:,} more rows: name the table with --table to see all."] if more > 0 else [])]
    cut = markdown.render([replace(table, rows=table.rows[:rows], notes=notes)])
    return f"<details><summary>{escape(table.title)}</summary>\n\n{cut}\n</details>\n"
