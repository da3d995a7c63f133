"""What each command imports: showing what is saved must not wait for what measures, trains or draws."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_bench import store
from mnist_bench.core.bench_types import InferenceBenchRecord
from mnist_bench.core.types import Record
from tests.bench import made
from tests.conftest import Run

LIST = """
import sys
from mnist_bench.cli._main import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
finally:
    import json
    print("\\n" + json.dumps(sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names)))
"""
SCREEN = {"mnist_bench", "click", "__main__"}
RECORDS = SCREEN | {"msgspec", "numpy", "filelock", "typing_extensions"}
TABLES = RECORDS | {"rich", "markdown_it", "mdurl", "pygments"}


def imported(*arguments: str, before: str = "") -> set[str]:
    """Return the packages, but for Python's own, that a command has imported when it ends."""
    command = [sys.executable, "-c", before + LIST, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    # Editable installs and coverage hook themselves in before anything runs.
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return {name for name in found if not name.startswith(("_", "coverage", "a1_coverage", "sitecustomize"))}


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("train", "--help"), ("bench", "--help")])
def test_help_waits_for_nothing(arguments: tuple[str, ...]) -> None:
    assert imported(*arguments) <= SCREEN


ENGINES = {"torch", "torchvision", "onnx", "onnxruntime"}


@pytest.mark.parametrize("command", ["verify", "bench"])
def test_what_asks_workers_opens_no_engine_itself(command: str, trained: tuple[Path, Record], run: Run) -> None:
    shutil.copytree(trained[0], Path("exports") / trained[0].name)
    line = {
        "verify": ("--runtime", "torch-eager", "--batch-size", "128"),
        "bench": ("--runtime", "null", "--batch-size", "1", "--quick", "--allow-busy"),
    }[command]
    short = "from mnist_bench.cli import _bench; _bench.QUICK_BLOCKS = 1" if command == "bench" else ""
    found = imported(command, "--threads", "1", "--quiet", *line, before=short)
    assert "psutil" in found
    assert not found & ENGINES


def test_a_report_needs_no_engine(trained: tuple[Path, Record], run: Run) -> None:
    folder = Path("exports") / trained[0].name
    shutil.copytree(trained[0], folder)
    assert run("verify", "--run", folder.name, "--runtime", "torch-eager", "--threads", 1, "--quiet") == 0
    checkpoint = trained[1].checkpoint
    assert checkpoint
    rows = [made.row([1e-3] * 12), made.row([2e-3] * 12, made.configuration("torch-eager"))]
    store.save(folder, made.record(rows, weights_sha256=checkpoint.weights.sha256))
    found = imported("report", "--run", folder.name)
    assert "rich" in found
    assert found <= TABLES


@pytest.mark.parametrize("renderer", ["rich", "markdown", "csv", "json"])
def test_a_comparison_needs_no_engine(renderer: str, tmp_path: Path) -> None:
    store.save(tmp_path, made.record([made.row([1e-3] * 12)]))
    path = str(tmp_path / store.NAMES[InferenceBenchRecord])
    assert imported("compare", path, path, "--format", renderer) <= TABLES
