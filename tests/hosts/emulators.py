"""Emulators that are none: scripts called like QEMU's programs, which run a command here, or break on purpose."""

import os
import sys
from pathlib import Path

import pytest

from mnist_bench.hosts import _qemu

HONEST = 'shift 4\nexec "$@"'
"""Leaves out `-cpu MODEL -U VARIABLES`: what it shows is this machine's own processor."""

LIAR = """
from mnist_bench.worker import instructions
right = instructions.computed
instructions.computed = lambda name, operands: [bytes(32) for _ in right(name, operands)]
from mnist_bench.worker.__main__ import main
main()
"""


def emulator(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str, program: str = "qemu-x86_64") -> None:
    """Put a program before what is installed: a shell script, which is told `-cpu MODEL -U VARIABLES PYTHON …`.

    Instruction sets are not compared with the model's: what it shows is this machine's own processor.
    """
    monkeypatch.setattr(_qemu.Processor, "why_another", lambda *_: None)
    place = folder / "bin"
    place.mkdir(exist_ok=True)
    script = place / program
    script.write_text(
        f'#!/bin/sh\nif [ "$1" = --version ]; then echo "{program} version 0.1"; exit 0; fi\n{body}\n', encoding="utf-8"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")


def lying_about(model: str, folder: Path) -> str:
    """Return the body of an emulator whose results are all zero on one model, and which is honest on others."""
    path = folder / "liar.py"
    path.write_text(LIAR, encoding="utf-8")
    return f'if [ "$2" = {model} ]; then exec {sys.executable} -P {path}; fi\n{HONEST}'
