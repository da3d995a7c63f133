"""C code of this package as a library: compiled once, for this very processor, into the user's cache folder.

A library's name holds the hash of all that it depends on, and that of its own content. What was damaged, or made by
somebody else, is never loaded; a library appears there only after a check of what it computes.
"""

import contextlib
import ctypes
import os
import platform
import shlex
import shutil
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import filelock

from mnist_bench.core import digest, locks, places, process, scratch
from mnist_bench.core.errors import EnvironmentProblem
from mnist_bench.core.kinds import Skipped
from mnist_bench.environment import processor_identity

NATIVE = "-march=native" if platform.machine() in {"x86_64", "AMD64", "i686"} else "-mcpu=native"
"""What asks for this processor's instructions: on x86 the second would mean something else."""

FLAGS = ("-std=gnu11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-pipe", "-shared", "-fPIC", "-pthread")
"""No -ffast-math: what is not finite must stay so, and be seen."""

LIBRARIES = ("-lm",)
COMPILERS = ("cc", "gcc", "clang")
COMPILE_S = 60.0
LOCK_S = 300.0
"""Longer than one process compiles and checks."""

UNFINISHED = ".making-"
OLD_S = 90 * 24 * 3600.0
"""After so long a library of another version goes."""


def compiler() -> list[str] | None:
    """Return the command of the system's C compiler, or of `CC`; None where there is none.

    Raises:
        ValueError: `CC` has a quotation that does not end.
    """
    words = shlex.split(os.environ.get("CC", ""))
    found = [path for name in (words[:1] or COMPILERS) if (path := shutil.which(name))]
    return [str(Path(found[0]).absolute()), *words[1:]] if found else None


def no_compiler(target: str) -> Skipped | None:
    """Return why a target that is compiled here cannot be used, or None."""
    if os.name != "posix":
        return Skipped(target, "its C code needs a system with POSIX threads", "use another --engine")
    try:
        found = compiler()
    except ValueError as error:
        return Skipped(target, f"CC cannot be read: {error}", "set it to a C compiler")
    return None if found else Skipped(target, "there is no C compiler", "install gcc (apt-get install gcc), or set CC")


def library(source: Path, facts: Sequence[str], check: Callable[[Path], None]) -> ctypes.CDLL:
    """Return the library that a C file becomes; compile it unless that was done before.

    Args:
        source: the file; the only one.
        facts: what has to be as it was when the library was checked, besides the file, the compiler and the processor.
        check: is called with a library that has just been compiled; raises an error where it is no good.

    Raises:
        EnvironmentProblem: there is no compiler, it failed, or the cache folder cannot be used.
        MnistBenchError: as `check` raises.
    """
    command = compiler()
    if not command:
        raise EnvironmentProblem("there is no C compiler")
    folder = places.cache_folder() / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        stem = f"{source.stem.strip('_')}-{_key(source, command, facts)}"
        return _found(folder, stem) or _made(folder, stem, source, command, check)
    except filelock.Timeout as error:
        raise EnvironmentProblem(f"another process has been compiling in {folder} for {LOCK_S:g} s") from error
    except OSError as error:
        raise EnvironmentProblem(f"{error.filename or folder}: {error.strerror or error}") from error


def _key(source: Path, command: Sequence[str], facts: Sequence[str]) -> str:
    version = process.run((*command, "--version"), environment=_variables(), time_limit_s=COMPILE_S)
    identity = processor_identity()
    # Where the system tells no instruction sets, a home that machines share must not mix them up.
    machine = (*identity, "" if any(identity[2:]) else platform.node())
    built = (*command, version, *FLAGS, NATIVE, *LIBRARIES, *platform.libc_ver())
    return digest.sha256("\0".join((source.read_text(encoding="utf-8"), *built, *machine, *facts)).encode())[:32]


def _variables(**more: str) -> dict[str, str]:
    return {**process.inherited(), "LC_ALL": "C", **more}


def _found(folder: Path, stem: str) -> ctypes.CDLL | None:
    """Load the library of that name that can be loaded."""
    for path in sorted(folder.glob(f"{stem}-*.so")):
        with contextlib.suppress(OSError):
            if loaded := _loaded(path):
                return loaded
    return None


def _loaded(path: Path) -> ctypes.CDLL | None:
    """Load a library that we made, that nobody else could write, and whose content is what its name says."""
    with contextlib.ExitStack() as stack:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        stack.callback(os.close, descriptor)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            return None
        with open(descriptor, "rb", closefd=False) as file:
            if not path.stem.endswith(digest.sha256(file.read())):
                return None
        opened = Path(f"/proc/self/fd/{descriptor}")  # what was looked at, whatever has its name by now
        loaded = ctypes.CDLL(str(opened if opened.exists() else path))
        stack.pop_all()  # stays open: the loader knows the library by that name, and takes another of it for this one
        return loaded


def _made(folder: Path, stem: str, source: Path, command: Sequence[str], check: Callable[[Path], None]) -> ctypes.CDLL:
    if scratch.executes_nothing(folder):
        raise EnvironmentProblem(f"nothing in {folder} may be executed (noexec)")
    with locks.exclusive(folder / ".lock", LOCK_S):
        if found := _found(folder, stem):  # another process was faster
            return found
        locks.remove_abandoned_folders(folder, UNFINISHED)
        with locks.held_folder(folder, UNFINISHED) as made:
            compiled = _compiled(made, source, command)
            check(compiled)
            place = folder / f"{stem}-{digest.sha256_of_file(compiled)}.so"
            compiled.replace(place)
        _remove_old(folder, stem.partition("-")[0])
    loaded = _loaded(place)
    if not loaded:
        raise EnvironmentProblem(f"{place} was changed as soon as it was made")
    return loaded


def _compiled(folder: Path, source: Path, command: Sequence[str]) -> Path:
    """Compile in a folder, whatever TMPDIR is like."""
    target = folder / "library.so"
    words = (*command, *FLAGS, NATIVE, str(source), "-o", str(target), *LIBRARIES)
    process.run(words, folder=folder, environment=_variables(TMPDIR=str(folder)), time_limit_s=COMPILE_S)
    target.chmod(0o700)
    return target


def _remove_old(folder: Path, name: str) -> None:
    for path in folder.glob(f"{name}-*.so"):
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime < time.time() - OLD_S:
                path.unlink()
