"""What reaches the user's own stderr, at the level of descriptors: lines of ours, and none of a library's."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

OURS = re.compile(
    r"""mnist-bench:\ .*
    | [\w.-]+:\ \w+,\ [\d,]+\ images\ of\ .*\ thread\(s\)
    | epoch\ \d+/\d+:\ .*\ images/s
    | [\w.-]+:\ (export|verify|bench)\ (…|took\ .*)
    | exporting\ [\w-]+\ [\w-]+\ …
    | block\ \d+\ of\ \d+:\ .*
    | (reading|asking|finding)\ .*\ …
    | .*\ on\ .*:\ \d+\ thread\(s\),\ batch\ [\d,]+""",
    re.VERBOSE,
)
STRAY = (
    "No CUDA runtime is found",
    "Loading outdated pt2 file",
    "is an Enum subclass",
    "absl::InitializeLog",
    "ExperimentalWarning",
    "FutureWarning",
    "[W:onnxruntime",
    "XNNPACK delegate",
)


@pytest.fixture(autouse=True)
def here(light: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    shutil.copytree(light, tmp_path / "exports" / light.name)


def said(*arguments: str) -> list[str]:
    """Run a command in a process of its own, whose stderr is a file, and return what stands in it."""
    command = [sys.executable, "-m", "mnist_bench", *arguments]
    with Path("stderr.txt").open("wb") as stderr:
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=stderr, check=True, timeout=900, env=os.environ)
    return Path("stderr.txt").read_text(encoding="utf-8").splitlines()


def strangers(lines: list[str]) -> Iterator[str]:
    """Yield the lines that are none of ours."""
    for line in lines:
        if not OURS.fullmatch(line) or any(words in line for words in STRAY):
            yield line


ONE = ("--threads", "1", "--batch-size", "128")
COMMANDS = {
    "train": ("train", "--dataset", "digits", "--epochs", "1", "--run", "own"),
    "verify": ("verify", *ONE, "--runtime", "onnxruntime", "--runtime", "torch-eager"),
    "import": ("import", "exports/digits-relu/model.onnx", "--dataset", "digits", "--run", "theirs"),
    "export": ("export", "--format", "torchscript"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_line_is_ours(command: str) -> None:
    lines = said(*COMMANDS[command])
    assert lines
    assert not list(strangers(lines))


def test_a_stray_line_would_be_seen() -> None:
    stray = "W1130 00:20:42.5 29536 torch/utils/cpp_extension.py:183] No CUDA runtime is found, using CUDA_HOME='/x'"
    assert list(strangers(["exporting onnx fp32 …", stray])) == [stray]


@pytest.mark.torture
def test_every_line_of_everything_is_ours() -> None:
    lines = said("run", "--dataset", "digits", "--quick", "--allow-busy", "--run", "all")
    assert not list(strangers(lines))
    lines = said("verify", "--run", "all", *ONE)
    assert not list(strangers(lines))
