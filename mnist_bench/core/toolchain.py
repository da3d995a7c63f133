"""Whether this machine can compile, and load what it has compiled."""

import os
import shutil

from mnist_bench.core import scratch
from mnist_bench.core.kinds import Skipped


def no_compiler(target: str) -> Skipped | None:
    """Return why a target that compiles C++ cannot be used, or None."""
    if shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++"):
        missing = scratch.why_no_place()
        return Skipped(target, "nothing that is compiled can be kept", missing) if missing else None
    return Skipped(target, "there is no C++ compiler", "install g++ (apt-get install g++), or set CXX")
