"""This machine and this Python."""

import sys

from mnist_bench.core.kinds import Skipped
from mnist_bench.core.process import inherited
from mnist_bench.hosts._contract import Launch

ARGUMENT, RUNTIMES, TIMED = False, None, True
PROCESSOR = None
WORKER = ("-P", "-m", "mnist_bench.worker")
"""-P: a module of the user's in the present folder, called onnx.py perhaps, is not what an engine means to import."""


def why_unavailable() -> Skipped | None:
    """Never."""
    return None


def launch(_argument: str) -> Launch:
    """See `HostModule`."""
    return Launch("", (sys.executable, *WORKER), inherited())
