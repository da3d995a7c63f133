"""The network's own C source, compiled for this processor by the system's compiler; on one thread, image by image."""

import contextlib
import ctypes
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator

import numpy as np

from mnist_bench.core.errors import EnvironmentProblem
from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes._contract import Effective, Images, Logits, Model, Session, Spec, as_stored

FORMAT, DEVICES, PRECISIONS = "c", ("cpu",), as_stored("fp32", "int8")
COMPILED, LIBRARY = False, "mnist-bench"
SKIPS_ZEROS = True
WANTS = ()
"""No distribution: what comes of the source needs the C library alone."""

FLAGS, FOR_THIS_PROCESSOR = ("-std=c99", "-O3", "-shared", "-fPIC"), "-march=native"
COMPILE_S = 120.0
ANOTHER = "set CC to another C compiler"


def _compiler() -> list[str]:
    """Return the command of the compiler; raises ValueError where CC is no command line."""
    return shlex.split(os.environ.get("CC", "")) or ["cc"]


def why_unavailable() -> Skipped | None:
    """See `Runtime`."""
    try:
        if shutil.which(_compiler()[0]):
            return None
    except ValueError as error:
        return Skipped("c", f"CC cannot be read: {error}", "set it to a C compiler")
    remedy = "install it (apt-get install gcc, for emulated ARM processors gcc-aarch64-linux-gnu), or set CC"
    return Skipped("c", f"there is no C compiler {_compiler()[0]}", remedy)


def why_not_on(_device: str) -> Skipped | None:
    """Return why not where this worker is: on another host that can be another compiler."""
    return why_unavailable()


def version() -> str:
    """Return the first line in which the compiler says what it is."""
    if why_unavailable():
        return "no compiler"
    return _said([*_compiler(), "--version"]).partition("\n")[0]


def _said(command: list[str]) -> str:
    """Let the compiler do something; return what it prints.

    Raises:
        EnvironmentProblem: it fails, or takes too long.
    """
    try:
        done = subprocess.run(  # noqa: S603 the user's own compiler
            command, capture_output=True, text=True, errors="replace", check=False, timeout=COMPILE_S
        )
    except subprocess.TimeoutExpired as error:
        raise EnvironmentProblem(f"{command[0]} took longer than {COMPILE_S:g} s: {ANOTHER}") from error
    except OSError as error:
        raise EnvironmentProblem(f"{command[0]} cannot be started: {error.strerror}: {ANOTHER}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        said = next(
            (line for line in lines if "error:" in line), lines[-1] if lines else f"exit code {done.returncode}"
        )
        raise EnvironmentProblem(f"{command[0]} failed: {said}: {ANOTHER}")
    return done.stdout


@contextlib.contextmanager
def open(model: Model, _spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Compile the source, and load what comes of it."""
    with model.on_disk() as folder:
        (source,), built = folder.iterdir(), folder / "model.so"
        try:
            flags = shlex.split(os.environ.get("CFLAGS", FOR_THIS_PROCESSOR))
        except ValueError as error:
            raise EnvironmentProblem(f"CFLAGS cannot be read: {error}: set it to options of a C compiler") from error
        command = [*_compiler(), *FLAGS, *flags, str(source), "-o", str(built), "-lm"]
        _said(command)
        function = ctypes.CDLL(str(built)).mnist_bench_logits
        function.argtypes, function.restype = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p), None

        def run(images: Images) -> Logits:
            given, logits = np.ascontiguousarray(images), np.empty((len(images), 10), np.float32)
            function(given.ctypes.data, len(given), logits.ctypes.data)
            return logits

        yield Session(run, lambda: _effective(command[0], model.content))


def _effective(compiler: str, content: bytes) -> Effective:
    """Look in what the source declares its weights to be."""
    declared = re.search(rb"static const (\w+) weight_1\[", content)
    return Effective(compiler, {b"float": "fp32", b"int8_t": "int8"}.get(declared[1] if declared else b"", "unknown"))
