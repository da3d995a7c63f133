"""Node: ONNX Runtime's package for it, with a worker in JavaScript."""

import functools
import shutil
from pathlib import Path

from mnist_bench import worker
from mnist_bench.core import process
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.npm import Package
from mnist_bench.hosts._contract import Launch

ARGUMENT, RUNTIMES, TIMED = False, ("onnxruntime",), True
PROCESSOR = None
ONLY = True
"""No other runtime answers there."""
BORDER_TYPES = ("float32", "float64", "uint8")
"""Of what types the images may be that models from elsewhere want, and the answers that they give."""

SOURCE = Path(__file__).parent / "_node_worker" / "worker.mjs"
OURS = (SOURCE, *(worker.JAVASCRIPT / name for name in ("answering.mjs", "timing.mjs")))
PACKAGE = Package("node", "onnxruntime-node", "1.30.0", beside=OURS)
install = PACKAGE.install


def why_unavailable() -> Skipped | None:
    """Return why not: it needs Node, and what npm fetches."""
    if not shutil.which("node"):
        return Skipped("node", "Node is not installed", "install it (apt-get install nodejs npm)")
    return PACKAGE.why_missing()


def version() -> str:
    """Return the package's version."""
    return PACKAGE.version


@functools.cache  # a benchmark asks for every row
def installed_bytes(_runtime: str) -> int:
    """Return what npm fetched, in bytes; Node itself is not counted."""
    return PACKAGE.installed_bytes()


def launch(_argument: str) -> Launch:
    """See `HostModule`."""
    return Launch("node", (shutil.which("node") or "node", str(PACKAGE.place() / SOURCE.name)), process.inherited())
