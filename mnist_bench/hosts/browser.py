"""A browser without a window: ONNX Runtime for the web, in WebAssembly with SIMD and threads."""

import functools
import shutil
import sys

from mnist_bench.core import process
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.npm import ONNXRUNTIME_WEB
from mnist_bench.hosts._contract import Launch

ARGUMENT, RUNTIMES, TIMED = False, ("onnxruntime",), True
PROCESSOR = None
ONLY = True
"""No other runtime answers there."""
BORDER_TYPES = ("float32", "float64", "uint8")
"""Of what types the images may be that models from elsewhere want, and the answers that they give."""

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
READY_S = 60.0
"""Until it has opened the page; a second or two, where nothing else runs."""

install = ONNXRUNTIME_WEB.install


def why_unavailable() -> Skipped | None:
    """Return why not: it needs a browser, and what npm fetches."""
    if not _program():
        return Skipped("browser", "there is no Chromium, Chrome or Edge", "install it (apt-get install chromium)")
    return ONNXRUNTIME_WEB.why_missing()


def version() -> str:
    """Return the package's version."""
    return ONNXRUNTIME_WEB.version


@functools.cache  # a benchmark asks for every row
def installed_bytes(_runtime: str) -> int:
    """Return what is kept of what npm fetched, in bytes; the browser itself is not counted."""
    return ONNXRUNTIME_WEB.installed_bytes()


def launch(_argument: str) -> Launch:
    """See `HostModule`."""
    words = (str(ONNXRUNTIME_WEB.place()), _program() or PROGRAMS[0], str(READY_S))
    command = (sys.executable, "-P", "-m", "mnist_bench.worker.browser", *words)
    return Launch("browser", command, process.inherited())


def _program() -> str | None:
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)
