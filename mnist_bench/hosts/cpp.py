"""C++: ONNX Runtime, OpenVINO and LibTorch in the program that `export --format cpp` writes, compiled here.

It is built once for what is installed, into the user's cache folder. As with `_root`, nothing there is trusted to be
what was made: every file is compared with a list of hashes before it is used, once a process.
"""

import functools
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import filelock
import msgspec
from msgspec import Struct

from mnist_bench.core import cpp_project, digest, limits, locks, places, process, scratch
from mnist_bench.core.commands import line
from mnist_bench.core.errors import EnvironmentProblem, MnistBenchError, TargetUnavailable
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.reading import read_regular
from mnist_bench.core.types import Sha256
from mnist_bench.environment import library_version
from mnist_bench.hosts import _headers, _root
from mnist_bench.hosts._contract import Launch
from mnist_bench.hosts._worker import Limits, started

ARGUMENT, RUNTIMES, TIMED = False, ("onnxruntime", "openvino", "aotinductor"), True
PROCESSOR = None
ONLY = True
"""No other runtime answers there."""

NOT_THERE = {
    "onnxruntime": "its headers are not there: apt-get install libonnxruntime-dev, or set ONNXRUNTIME_ROOT",
    "openvino": "it is not there: pip install openvino",
    "aotinductor": "LibTorch is not there: pip install torch",
}
LIBRARIES = ("onnxruntime", "openvino", "torch")
PROGRAM, MANIFEST = "classify", "built.json"
TOOLS = "apt-get install cmake g++ make"
INSTALL, ANOTHER_CACHE = line("hosts", "--install", "cpp"), "set XDG_CACHE_HOME to another folder"
PROBE = "#include <variant>\nint main() { return std::variant<int>(0).index(); }\n"
"""C++17, with its library."""

PROBE_S, STEP_S, LOCK_S, START_S = 60.0, 600.0, 1_800.0, 120.0
UNFINISHED = ".making-"

Tell = Callable[[str], object]


class Built(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was built: by which compiler, with which engines, without which and why, and every file and link."""

    compiler: str
    engines: tuple[str, ...]
    absent: dict[str, str]
    files: dict[str, Sha256]
    links: dict[str, str]


def _place() -> Path:
    """Return where it is built: for these very sources, this Python's packages and their versions."""
    installed = [f"{name} {library_version(name)}" for name in LIBRARIES]
    words = [*(f"{name} {digest.sha256(content)}" for name, content in cpp_project.files().items()), *installed]
    return places.cache_folder() / "cpp" / digest.sha256("\0".join([sys.prefix, *words]).encode())[:16]


def why_unavailable() -> Skipped | None:
    """Return why not: it has to be built, and what is there has to be what was built."""
    found = _found()
    return found if isinstance(found, Skipped) else None


def why_without(runtime: str) -> Skipped | None:
    """Return why the program that is there answers without an engine, or None."""
    found = _found()
    if isinstance(found, Skipped) or runtime in found.engines:
        return None
    reason = found.absent.get(runtime, "the program has no such engine")
    return Skipped(f"{runtime} on cpp", reason, f"see to that, then {INSTALL}")


def installed_bytes(_runtime: str) -> None:
    """Not known: of each library a C++ program needs a part of what its Python package brings."""


def launch(_argument: str) -> Launch:
    """See `HostModule`."""
    return Launch("cpp", (str(_place() / PROGRAM), "--protocol"), process.inherited())


def _found() -> Built | Skipped:
    """Return what is built, or why it cannot be used."""
    try:
        place = _place()
        made = (place / MANIFEST).lstat()
    except FileNotFoundError:
        return _no_tools() or Skipped("cpp", "its program has not been built", INSTALL)
    except (EnvironmentProblem, OSError) as error:
        return Skipped("cpp", str(error), ANOTHER_CACHE)
    if scratch.executes_nothing(place):
        return Skipped("cpp", f"nothing in {place} may be executed (noexec)", ANOTHER_CACHE)
    return _checked(place, made.st_ino, made.st_mtime_ns)


@functools.cache
def _checked(place: Path, _inode: int, _changed_ns: int) -> Built | Skipped:
    """Return what is there, or that it is not what was built."""
    try:
        found = msgspec.json.decode(read_regular(place / MANIFEST, limits.RECORD_BYTES), type=Built)
        damage = _root.difference(place, found.files, found.links, MANIFEST)
        damage = damage or next(
            (f"{name} leads to nothing" for name in found.links if not (place / name).exists()), None
        )
    except (OSError, ValueError) as error:
        damage = f"{MANIFEST}: {error}"
    return Skipped("cpp", f"what was built in {place} is damaged: {damage}", INSTALL) if damage else found


def _no_tools() -> Skipped | None:
    if os.name != "posix":
        return Skipped("cpp", "its program is for POSIX systems", "use Linux")
    if not shutil.which("cmake"):
        return Skipped("cpp", "there is no CMake", f"install it ({TOOLS})")
    if not shutil.which("make") and "CMAKE_GENERATOR" not in os.environ:
        return Skipped("cpp", "there is no make", f"install it ({TOOLS}), or set CMAKE_GENERATOR")
    try:
        found = _compiler()
    except ValueError as error:
        return Skipped("cpp", f"CXX cannot be read: {error}", "set it to a C++ compiler")
    return None if found else Skipped("cpp", "there is no C++ compiler", f"install one ({TOOLS}), or set CXX")


def _compiler() -> list[str]:
    """Return the command of the compiler that CMake takes; empty where there is none."""
    words = shlex.split(os.environ.get("CXX", ""))
    found = [path for name in (words[:1] or ("c++", "g++", "clang++")) if (path := shutil.which(name))]
    return [found[0], *words[1:]] if found else []


def install(tell: Tell) -> Path:
    """Build the program, unless a sound one with all engines is there; return where it is.

    Raises:
        TargetUnavailable: there is no CMake, or no compiler.
        EnvironmentProblem: the compiler fails, no engine is found or works, or the cache folder cannot be used.
    """
    if missing := _no_tools():
        raise TargetUnavailable(f"cpp cannot be installed: {missing.reason}; {missing.remedy}")
    place = _place()
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if scratch.executes_nothing(place.parent):
            raise EnvironmentProblem(f"nothing in {place.parent} may be executed (noexec): {ANOTHER_CACHE}")
        with locks.exclusive(place.parent / ".lock", LOCK_S):
            locks.remove_abandoned_folders(place.parent, UNFINISHED)
            if why_unavailable() or any(map(why_without, RUNTIMES)):
                with locks.held_folder(place.parent, UNFINISHED) as folder:
                    _make(folder, place, tell)
    except filelock.Timeout as error:
        raise EnvironmentProblem(f"another process has been building in {place.parent} for {LOCK_S:g} s") from error
    except OSError as error:
        raise EnvironmentProblem(f"{error.filename or place}: {error.strerror or error}: {ANOTHER_CACHE}") from error
    return place


def _make(folder: Path, place: Path, tell: Tell) -> None:
    version = _probed(folder)
    source, build = folder / "source", folder / "build"
    source.mkdir()
    for name, content in cpp_project.files().items():
        (source / name).write_bytes(content)
    found, absent = _configured(source, build, folder, tell)
    _step(("cmake", "--build", str(build), "--target", PROGRAM), folder)
    for name in found:
        tell(f"compiling with {name}")
        if failure := _failure(name, build, folder):
            tell(f"{name} is left out: {failure}")
            absent[name] = failure
    engines = tuple(name for name in found if name not in absent)
    if not engines:
        raise EnvironmentProblem("; ".join(f"{name}: {reason}" for name, reason in absent.items()))
    kept = _kept(build, folder / "kept", engines)
    files, links = _root.listed(kept)
    built = Built(compiler=version, engines=engines, absent=absent, files=files, links=links)
    (kept / MANIFEST).write_bytes(msgspec.json.encode(built))
    if place.exists():
        place.rename(folder / "old")
    kept.rename(place)


def _probed(folder: Path) -> str:
    """Let the compiler make a small program, since CMake wraps its failure into many lines; return what it is."""
    (folder / "probe.cpp").write_text(PROBE, encoding="ascii")
    compiler = _compiler()
    words = (*compiler, "-std=c++17", str(folder / "probe.cpp"), "-o", str(folder / "probe"))
    process.run(words, folder=folder, environment=_variables(folder), time_limit_s=PROBE_S)
    if not (folder / "probe").is_file():
        raise EnvironmentProblem(f"{compiler[0]} makes no program: set CXX to a C++ compiler")
    said = process.run((*compiler, "--version"), folder=folder, environment=_variables(folder), time_limit_s=PROBE_S)
    return said.partition("\n")[0]


def _configured(source: Path, build: Path, folder: Path, tell: Tell) -> tuple[list[str], dict[str, str]]:
    """Let CMake look for engines; return those that it found, and why others are absent."""
    words = ("cmake", "-S", str(source), "-B", str(build), f"-DPython3_EXECUTABLE={sys.executable}")
    said = _step((*words, "-DALLOW_NONE=ON"), folder)
    why = dict(NOT_THERE)
    if "onnxruntime" not in _engines(said) and library_version("onnxruntime"):
        tell("fetching ONNX Runtime's headers: Debian's libonnxruntime-dev, not to be installed")
        (folder / "headers").mkdir()
        try:
            said = _step((*words, f"-DONNXRUNTIME_ROOT={_headers.fetch(folder / 'headers')}"), folder)
        except EnvironmentProblem as error:
            why["onnxruntime"] += f" (they cannot be fetched: {error})"
    found = _engines(said)
    return found, {name: why[name] for name in RUNTIMES if name not in found}


def _engines(said: str) -> list[str]:
    listed = re.search(r"^-- Engines: (.*)$", said, re.MULTILINE)
    return listed[1].split() if listed else []


def _failure(name: str, build: Path, folder: Path) -> str | None:
    """Compile an engine's module and start it; return what goes wrong, if anything does."""
    try:
        _step(("cmake", "--build", str(build), "--target", f"engine-{name}"), folder)
        own = Launch("cpp", (str(build / PROGRAM), "--protocol"), process.inherited())
        with started(own, None, Limits(START_S)) as worker:
            worker.greet(name)
    except MnistBenchError as error:
        return str(error)
    return None


def _kept(build: Path, kept: Path, engines: tuple[str, ...]) -> Path:
    """Keep the program, the engines that work, and the link by which one of them finds its library."""
    kept.mkdir()
    for path in (build / PROGRAM, *(build / f"engine-{name}.so" for name in engines), *build.glob("lib*.so.*")):
        path.rename(kept / path.name)
    return kept


def _variables(folder: Path) -> dict[str, str]:
    return {**process.inherited(), "LC_ALL": "C", "TMPDIR": str(folder)}


def _step(command: tuple[str, ...], folder: Path) -> str:
    return process.run(command, folder=folder, environment=_variables(folder), time_limit_s=STEP_S)
