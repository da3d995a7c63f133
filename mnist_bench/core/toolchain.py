"""Whether this machine can compile."""

import os
import shutil

from mnist_bench.core.kinds import Skipped


def no_compiler(target: str) -> Skipped | None:
    """Return why a target that compiles C++ cannot be used, or None."""
    if shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++"):
        return None
    return Skipped(target, "there is no C++ compiler", "install g++ (apt-get install g++), or set CXX")
