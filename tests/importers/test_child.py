"""Reading in a process of its own: what goes there, what comes back, and how it ends."""

import io
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.numpy import save

from mnist_bench import importers
from mnist_bench.core.child import ChildFailed
from mnist_bench.core.errors import ENVIRONMENT, ModelRefused
from tests.importers import made


class Limits(NamedTuple):
    time_s: float = 120.0
    memory_bytes: int | None = 4 * 1024**3


def read(content: bytes, folder: Path, limits: Limits | None = None, *, trusted: bool = False) -> importers.Found:
    return importers.read(Path("given.bin"), content, folder, trusted=trusted, limits=limits or Limits())


def program() -> bytes:
    written = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(torch.jit.trace(torch.nn.Flatten(), torch.zeros(2, 1, 28, 28)), written)  # type: ignore[no-untyped-call]
    return written.getvalue()


def test_a_child_reads_and_leaves_what_it_wrote(tmp_path: Path) -> None:
    found = read(made.network(), tmp_path)
    assert found == made.read(made.network(), tmp_path / ".")
    assert (found.kind, found.specified) == ("onnx", True)
    assert {path.name for path in tmp_path.iterdir()} == {"weights.safetensors", "graph.onnx", "given"}


def test_refusals_of_the_child_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"^given\.bin \(safetensors\): it holds weights alone"):
        read(save({"w": made.arrays()["fc1.bias"]}), tmp_path)


def test_a_program_is_read_for_whoever_vouches_for_it(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"^given\.bin is a program \(torchscript\).*--trust-code"):
        read(program(), tmp_path)
    assert read(program(), tmp_path, trusted=True).classes == 784


def test_a_child_that_takes_too_long_or_too_much_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"took longer than 0\.1 s and was stopped"):
        read(made.network(), tmp_path, Limits(time_s=0.1))
    with pytest.raises((ChildFailed, ModelRefused)) as failed:
        read(made.network(), tmp_path, Limits(memory_bytes=100 * 2**20))
    assert failed.value.exit_code in (ENVIRONMENT, ModelRefused.exit_code)


def test_who_asks_imports_no_engine() -> None:
    code = (
        "import sys; from pathlib import Path; from mnist_bench import importers; "
        "importers.kind_of(Path('m'), sys.stdin.buffer.read()); "
        "print(sorted({'torch', 'onnx', 'onnxruntime', 'h5py', 'sklearn', 'safetensors'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=made.network(), capture_output=True, check=True, timeout=120)
    assert done.stdout.strip() == b"[]"
