"""Tables as one JSON document with raw values and their units."""

import json
from collections.abc import Sequence
from typing import Any

from mnist_bench.report._table import Cell, Column, Quantity, Table
from mnist_bench.report.renderers._format import raw


def render(contents: Sequence[Table], _color: bool = False) -> str:
    """Write a list of `{"title", "columns": [{"name", "unit"}], "rows": [[…]], "notes"}`; absent values are null."""
    return json.dumps([_table(content) for content in contents], ensure_ascii=False, indent=1) + "\n"


def _table(content: Table) -> dict[str, Any]:
    return {
        "title": content.title,
        "columns": [_column(column) for column in content.columns],
        "rows": [[_value(cell) for cell in row] for row in content.rows],
        "notes": list(content.notes),
    }


def _column(column: Column) -> dict[str, str]:
    return {"name": column.name, "unit": column.unit.value}


def _value(cell: Cell) -> Any:
    return {"value": raw(cell), "unit": cell.unit.value} if isinstance(cell, Quantity) else raw(cell)
