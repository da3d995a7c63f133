import subprocess
import sys

import pytest
from click.testing import CliRunner

from mnist_bench import cli
from mnist_bench.cli._main import group
from mnist_bench.core import plugins
from tests.conftest import Run

HEAVY = ("torch", "torchvision", "onnx", "onnxruntime", "sklearn", "scipy", "matplotlib", "numpy", "rich", "msgspec")


def imported_by(*arguments: str) -> set[str]:
    """Return which heavy modules a command line imports, in a process of its own."""
    code = (
        "import sys; from mnist_bench.cli import _main\n"
        f"_main.run({list(arguments)!r})\n"
        f"print('|', *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("|")[2].split())


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["train", "--help"], ["report", "--help"], ["bench", "--help"], ["nonsense"]],
)
def test_asking_for_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert imported_by(*arguments) == set()


def test_the_budget_can_be_exceeded() -> None:
    assert "numpy" in imported_by("report", "--out", "nowhere")


@pytest.mark.parametrize("name", plugins.names(cli))
def test_every_command_has_help_with_examples(name: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    text = capsys.readouterr().out
    assert f"Usage: mnist-bench {name}" in text
    assert f"  mnist-bench {name}" in text.partition("Examples:")[2]


def test_the_version_tells_those_of_torch_and_onnx(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    assert run("--version") == 0
    lines = dict(line.split(" ", 1) for line in capsys.readouterr().out.splitlines())
    assert set(lines) == {"mnist-bench", "torch", "torchvision", "onnx", "onnxruntime"}
    assert lines["torch"].partition("+")[0] == torch.__version__.partition("+")[0]


def test_no_command_shows_the_help(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    assert "Usage: mnist-bench" in "".join(capsys.readouterr())


def test_the_module_runs_like_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mnist_bench", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("mnist-bench ")


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", ["", *plugins.names(cli)])
def test_help_fits_the_terminal(name: str, columns: int) -> None:
    done = CliRunner().invoke(group, [*filter(None, [name]), "--help"], terminal_width=columns)
    assert [line for line in done.output.splitlines() if len(line) > columns] == []
    assert "..." not in done.output.partition("Commands:")[2]  # what click cuts off


def test_a_wide_terminal_is_used() -> None:
    lines = CliRunner().invoke(group, ["verify", "--help"], terminal_width=120).output.splitlines()
    assert max(map(len, lines)) > 110
