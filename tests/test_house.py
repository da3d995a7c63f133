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
