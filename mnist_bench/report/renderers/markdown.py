"""Tables as GitHub-flavoured Markdown."""

import re
from collections.abc import Sequence

from mnist_bench.core import text as words
from mnist_bench.report._table import Table, Unit
from mnist_bench.report.renderers._format import text

SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")


def render(contents: Sequence[Table], _color: bool = False) -> str:
    """Write each table under a heading of its own, with its notes below; nothing is cut."""
    return "\n".join(_section(content) for content in contents)


def _section(content: Table) -> str:
    heads = [escaped(column.name) for column in content.columns]
    rules = ["---" if column.unit is Unit.TEXT else "---:" for column in content.columns]
    rows = [
        [escaped(text(cell, column)) for cell, column in zip(row, content.columns, strict=True)] for row in content.rows
    ]
    lines = ["| " + " | ".join(cells) + " |" for cells in (heads, rules, *rows)]
    notes = [line for note in content.notes for line in ("", escaped(note))]
    return "\n".join([f"### {escaped(content.title)}", "", *lines, *notes, ""])


def escaped(value: str) -> str:
    """Return text in which nothing is markup, and nobody is mentioned."""
    return SPECIAL.sub(r"\\\1", words.clean(value)).replace("\n", " ").replace("@", "@\u200b")
