"""Fixtures: runs to torture, and what runs commands."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mnist_bench import data, formats
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import Artifact
from tests.conftest import train_digits
from tests.torture.harness import Commands, compiled_shim, reached, started


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, digits: data.Dataset) -> Path:
    """The folder of a run on the digits with a file of each kind that does not compile; to read and never to write."""
    folder = tmp_path_factory.mktemp("exported") / "digits-relu"
    record = train_digits(folder, digits, epochs=5)
    for name in ("onnx", "torchscript", "torch-export"):
        assert isinstance(formats.export(folder, record, name), Artifact | Skipped)
    return folder


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """What runs commands, with the fault injector."""
    yield from started(tmp_path_factory.mktemp("torture"), compiled_shim(tmp_path_factory.mktemp("shim")))


@pytest.fixture(scope="session")
def begun(commands: Commands) -> Path:
    """A folder of runs that holds one of two epochs, exported and verified; to copy from."""
    exports = commands.folder / "exports"
    for arguments in (
        ("train", "--dataset", "digits", "--epochs", "2", "--threads", "1", "--run", "d", "-q"),
        ("export", "--format", "onnx", "-q"),
        ("verify", "--runtime", "onnxruntime", "--batch-size", "128", "--threads", "1", "-q"),
    ):
        commands.run(*arguments).assert_one_line(0)
    kept = commands.folder.parent / "begun"
    exports.rename(kept)
    return kept


def fresh(commands: Commands, begun: Path) -> Path:
    """Put a copy of the runs where commands find it, in place of what they did to the last one."""
    exports = commands.folder / "exports"
    shutil.rmtree(exports, ignore_errors=True)
    return Path(shutil.copytree(begun, exports))


@pytest.fixture(scope="session")
def uninterrupted(commands: Commands, begun: Path) -> str:
    """The SHA-256 of the weights that the run has after its fourth epoch, when nothing happens."""
    exports = fresh(commands, begun)
    commands.run(*RESUME).assert_one_line(0)
    return reached(exports / "d")


RESUME = ("train", "--resume", "--run", "d", "--epochs", "4", "-q")
EXPORT = ("export", "--run", "d", "--format", "onnx", "--format", "torchscript", "-q")
VERIFY = ("verify", "--run", "d", "--runtime", "onnxruntime", "--batch-size", "128", "--threads", "1", "-q")
PAGE = ("report", "--run", "d", "--html")
FIGURES = ("report", "--run", "d", "--figures")
BENCH = (
    *("bench", "--run", "d", "--runtime", "null", "--batch-size", "1", "--threads", "1", "--quick"),
    *("--allow-busy", "-q"),
)
STUDY = (
    *("study", "--dataset", "digits", "--seeds", "2", "--activation", "relu", "--epochs", "1", "--resume"),
    *("--workers", "1", "-q"),
)
