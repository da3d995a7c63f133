"""A summary in GitHub-flavoured Markdown: for a pull request, or for a job's summary."""

from collections.abc import Iterator
from dataclasses import replace
from html import escape

from mnist_bench.core import plugins
from mnist_bench.report import answers
from mnist_bench.report._headline import headline
from mnist_bench.report._material import Material
from mnist_bench.report._table import Table, ViewOptions
from mnist_bench.report.renderers import markdown

LONGEST_ROWS = 20
LONGEST_CHARACTERS = 60_000
"""GitHub takes 65,536 characters in a comment."""


def summary(material: Material, options: ViewOptions, tables: Iterator[Table]) -> str:
    """Write the headline, the written answers, and the tables folded and cut: well below what GitHub takes.

    Args:
        material: what is reported.
        options: what a reader can choose.
        tables: what to fold, the most important first; those that no longer fit are named instead.
    """
    parts = [markdown.render([headline(material, options)]), *_answers(material, options)] if material.records else []
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
