"""This very Python and its packages, unmodified, on an x86 processor that QEMU's user emulation shows them."""

import shutil
import sys

from mnist_bench.core.kinds import Skipped
from mnist_bench.core.process import inherited
from mnist_bench.hosts._contract import Launch
from mnist_bench.hosts.here import WORKER

PROGRAM = "qemu-x86_64"
ONNXRUNTIME = ("onnxruntime",)  # under emulation, importing torch alone takes most of a minute


def no_qemu(name: str) -> Skipped | None:
    """Return why an x86 processor cannot be emulated here, or None."""
    if shutil.which(PROGRAM):
        return None
    return Skipped(name, f"{PROGRAM} is not installed", "apt-get install qemu-user")


def emulated(name: str, model: str) -> Launch:
    """Start a worker on a processor, by the name that QEMU has for its model."""
    return Launch(name, (PROGRAM, "-cpu", model, sys.executable, *WORKER), inherited())
