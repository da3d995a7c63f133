"""Rules of the house that no linter knows."""

import ast
from pathlib import Path

import pytest

import mnist_bench

PACKAGE = Path(mnist_bench.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 40


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_function_is_longer_than_a_screen(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    long = {node.name: node.end_lineno - node.lineno + 1 for node in functions if node.end_lineno}
    assert {name: lines for name, lines in long.items() if lines > LONGEST} == {}


def test_no_pickle_anywhere() -> None:
    words = ("pickle", "torch.load", "torch.save(", "joblib")
    found = {path.name: word for path in MODULES for word in words if word in path.read_text(encoding="utf-8")}
    assert found == {}
