"""Remarks of libraries that nobody can act on: dropped, and nothing else is; read where a process's last words are."""

import logging
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mnist_bench.core import remarks
from mnist_bench.runtimes import Spec, _torch, torch_compile

OPEN = """
import sys
from pathlib import Path
from mnist_bench.runtimes import Model, Spec, aotinductor
{}
try:
    model = Model({{"old.pt2": Path(sys.argv[1]).read_bytes()}}, "aotinductor", "fp32", "relu")
    with aotinductor.open(model, Spec(threads=1)):
        print("opened")
except Exception as error:
    print(f"{{type(error).__name__}}: {{error}}")
"""
IMPORT = """
from mnist_bench.core import remarks
{}
    import torch.utils.cpp_extension
    torch.utils.cpp_extension.logger.warning("%s", "what else it says")
"""


def said(code: str, *arguments: str | Path, **variables: str) -> tuple[str, str]:
    """Run code in a process of its own; return what it wrote to stdout and, at the level of descriptors, to stderr."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""} | variables
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=200)
    return done.stdout, done.stderr


@pytest.fixture
def outdated(tmp_path: Path) -> Path:
    """A package of AOTInductor from before archives told their format: its machine code is none."""
    path = tmp_path / "old.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("package/data/aotinductor/model/code.wrapper.so", b"\x7fELF")
        archive.writestr("package/byteorder", b"little")
    return path


def test_an_outdated_package_says_only_what_is_wrong_with_it(outdated: Path) -> None:
    out, err = said(OPEN.format(""), outdated)
    assert "Error" in out
    assert "Loading outdated pt2 file" not in err
    _, err = said(OPEN.format("aotinductor.OUTDATED = ('another', 'remark')"), outdated)
    assert "Loading outdated pt2 file" in err


def test_cuda_without_a_gpu_is_not_remarked_upon(tmp_path: Path) -> None:
    _, err = said(IMPORT.format("with remarks.without(*remarks.NO_CUDA):"), CUDA_HOME=str(tmp_path))
    assert "No CUDA runtime" not in err
    assert "what else it says" in err
    _, err = said(IMPORT.format("if True:"), CUDA_HOME=str(tmp_path))
    assert "No CUDA runtime is found" in err


def test_they_are_dropped_while_a_network_is_compiled_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logger = logging.getLogger(remarks.NO_CUDA[0])
    before = list(logger.filters)
    monkeypatch.setattr(_torch, "network", lambda *_: len)
    monkeypatch.setattr(_torch, "session", lambda *_: None)
    with torch_compile.open(None, Spec(threads=1)):  # type: ignore[arg-type]
        assert len(logger.filters) == len(before) + 1
    assert logger.filters == before


def test_only_one_remark_of_one_logger_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    with remarks.without("a.library", "An old file"):
        logging.getLogger("a.library").warning("An old file: %s", "x")
        logging.getLogger("a.library").warning("It fails: %s", "An old file")
        logging.getLogger("another").warning("An old file")
    logging.getLogger("a.library").warning("An old file")
    assert [record.getMessage() for record in caplog.records] == ["It fails: An old file", "An old file", "An old file"]
