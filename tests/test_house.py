"""Rules of the house that no linter knows."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

import mnist_bench

PACKAGE = Path(mnist_bench.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 40


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_function_is_longer_than_a_screen(path: Path) -> None:
    # What users call describes each of its options, which a command's decorators do: there the body counts.
    count = _body if path.parent.name == "api" else _lines
    functions = _functions(path.read_text(encoding="utf-8"))
    assert {node.name: count(node) for node in functions if count(node) > LONGEST} == {}


def test_a_long_function_is_seen() -> None:
    def length(count: Callable[[ast.FunctionDef], int], lines: int) -> int:
        (node,) = _functions('def f(\n    a,\n):\n    """One.\n\n    Two.\n    """\n' + "    a()\n" * lines)
        return count(node)

    assert [length(count, 30) for count in (_lines, _body)] == [37, 30]
    assert length(_body, LONGEST + 1) > LONGEST


def _functions(source: str) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]


def _lines(node: ast.FunctionDef) -> int:
    assert node.end_lineno
    return node.end_lineno - node.lineno + 1


def _body(node: ast.FunctionDef) -> int:
    """Count the lines of a function without its signature and its docstring."""
    statements = node.body[1:] if ast.get_docstring(node) else node.body
    assert node.end_lineno
    return node.end_lineno - statements[0].lineno + 1 if statements else 0


RUN_CODE = ("pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal")
"""Modules that run code of what they load."""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_is_loaded_in_a_way_that_runs_its_code(path: Path) -> None:
    assert _loads(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "torch.save(model, file)",
        "numpy.load(file, allow_pickle=True)",
    ],
)
def test_what_runs_code_is_seen(line: str) -> None:
    assert _loads(line)
    assert not _loads("torch.load(file, weights_only=True)")


def _loads(source: str) -> list[str]:
    """Return what runs the code of a file, of a module's imports and calls."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names if name.name.partition(".")[0] in RUN_CODE]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module or ""] if (node.module or "").partition(".")[0] in RUN_CODE else []
        elif isinstance(node, ast.Call):
            called, given = ast.unparse(node.func), {one.arg: ast.unparse(one.value) for one in node.keywords}
            unsafe = called == "torch.load" and given.get("weights_only") != "True"
            found += [called] if unsafe or called == "torch.save" or "allow_pickle" in given else []
    return found
