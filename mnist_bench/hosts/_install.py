"""Making a root of ARM programs: Debian's packages by apt, Python's by pip, unpacked into the user's cache folder.

apt keeps its state in a folder of this work and writes nothing to the system's; it checks every package against the
signed index, and pip every wheel against its index. A root appears as a whole, or not at all.
"""

import shutil
import sys
import zipfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import filelock
import msgspec

import mnist_bench
from mnist_bench.core import locks, process
from mnist_bench.core.errors import BadInput, EnvironmentProblem, TargetUnavailable
from mnist_bench.core.kinds import Skipped
from mnist_bench.hosts import _root
from mnist_bench.hosts._qemu import ARM, BOOTSTRAP, REMEDY, Processor, found

PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
"""What a worker needs; apt adds what these depend on, whatever their names are in this release."""

PLATFORMS = tuple(f"manylinux_2_{minor}_aarch64" for minor in range(17, 32))
"""Wheels for the C library of Debian 11 and older; Debian 12 has 2.36."""

OLDEST = (3, 11)  # that our worker runs on

LOCK_S, STEP_S = 1_200.0, 600.0
UNFINISHED = ".making-"

CONFIGURATION = """
Dir::State "{folder}/state";
Dir::State::status "{folder}/state/status";
Dir::Cache "{folder}/cache";
Dir::Log "{folder}";
APT::Architecture "arm64";
#clear APT::Architectures;
APT::Architectures {{ "arm64"; }};
APT::Sandbox::User "";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""
"""Read after the system's own, whose sources and keys stay as they are; what others have hung on to updates is not run.

Without a sandbox user: `_apt` could not write into a folder of this user's.
"""

WARM = "import hashlib, json, numpy, onnx, onnxruntime; from mnist_bench.worker import _serve, instructions"
"""What a worker imports, once, so that Python keeps it compiled."""

Tell = Callable[[str], object]


def install(processor: Processor, tell: Tell) -> Path:
    """Make the root that a processor needs, unless a sound one is there; return where it is.

    Raises:
        BadInput: it needs none.
        TargetUnavailable: this machine lacks what that takes.
        EnvironmentProblem: something could not be downloaded or unpacked, or does not start.
    """
    if processor.program != ARM:
        raise BadInput(f"{processor.name} needs nothing but QEMU: it runs the packages that are installed")
    if missing := why_not_here(processor.name):
        raise TargetUnavailable(f"{processor.name} cannot be installed: {missing.reason}; {missing.remedy}")
    folder = _root.folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with locks.exclusive(folder / ".lock", LOCK_S):
            locks.remove_abandoned_folders(folder, UNFINISHED)
            if _root.why_unusable(processor.name):  # else another process was faster
                _make(processor, folder, tell)
    except filelock.Timeout as error:
        raise EnvironmentProblem(f"another process has been installing in {folder} for {LOCK_S:g} s") from error
    return _root.place()


def why_not_here(name: str) -> Skipped | None:
    """Return why a root cannot be made on this machine, or None."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return Skipped(name, "there is no apt-get to fetch ARM programs with", "use Debian")
    if not found(ARM):
        return Skipped(name, f"{ARM} is not installed", REMEDY)
    if not _pip():
        return Skipped(name, "there is no pip to fetch wheels with", "python -m ensurepip")
    missing = [one for one in _root.DISTRIBUTIONS if one not in _root.versions()]
    return Skipped(name, f"{', '.join(missing)} is not installed", "pip install mnist-bench") if missing else None


def _pip() -> list[str] | None:
    """Return the command that starts a pip: of this Python, or any; which one it is makes no difference to a wheel."""
    if find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    path = shutil.which("pip3") or shutil.which("pip")
    return [path] if path else None


def _make(processor: Processor, folder: Path, tell: Tell) -> None:
    with locks.held_folder(folder, UNFINISHED) as made:
        root = made / "root"
        root.mkdir()
        tell("fetching Debian's packages for arm64")
        packages = _debian(made, root)
        tell("fetching wheels for aarch64")
        python = _python(root)
        _wheels(made, root, python)
        tell("starting it once")
        _warm(processor, made, root)
        files, links = _root.listed(root)
        libraries = _root.versions()
        contents = _root.Root(packages=packages, libraries=libraries, python=python, files=files, links=links)
        (root / _root.MANIFEST).write_bytes(msgspec.json.encode(contents))
        if _root.place().exists():
            _root.place().rename(made / "old")
        root.rename(_root.place())


def _debian(made: Path, root: Path) -> tuple[str, ...]:
    """Fetch packages and what they depend on, and unpack them; return their files' names."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (made / name).mkdir(parents=True)
    (made / "state" / "status").touch()  # nothing is installed
    (made / "apt.conf").write_text(CONFIGURATION.format(folder=made), encoding="utf-8")
    apt = ("apt-get", "-c", str(made / "apt.conf"), "-qq", "--yes", "--no-install-recommends")
    _run((*apt, "update"), made)
    _run((*apt, "--download-only", "install", *PACKAGES), made)
    archives = sorted((made / "cache" / "archives").glob("*.deb"))
    for archive in archives:
        _run(("dpkg-deb", "--extract", str(archive), str(root)), made)
    if not (root / "lib").exists():  # where all is in /usr, programs still name the loader in /lib
        (root / "lib").symlink_to("usr/lib")
    return tuple(archive.name for archive in archives)


def _python(root: Path) -> str:
    """Return which Python a root has: `3.11`."""
    version = (root / _root.PYTHON).resolve().name.removeprefix("python")
    if tuple(map(int, version.split("."))) < OLDEST:
        raise EnvironmentProblem(f"this release's Python is {version}, and 3.11 is needed: use a newer one of Debian")
    return version


def _wheels(made: Path, root: Path, python: str) -> None:
    """Fetch the wheels of what is installed here, and unpack them."""
    wanted = [f"{name}=={version}" for name, version in _root.versions().items()]
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    where = ("--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", python)
    _run((*(_pip() or ()), "download", "-q", "--dest", str(made / "wheels"), *where, *platforms, *wanted), made)
    for wheel in (made / "wheels").glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(root / _root.SITE)  # keeps within the folder, whatever names say


def _warm(processor: Processor, made: Path, root: Path) -> None:
    """Import in it what a worker imports: does it run at all?"""
    sysroot = processor.sysroot(root).made(made / "sysroot")
    code = BOOTSTRAP.format(site=str(root / _root.SITE), package=str(Path(mnist_bench.__file__).parent), then=WARM)
    command = (found(ARM) or ARM, "-cpu", processor.model, "-L", str(sysroot), str(root / _root.PYTHON))
    _run((*command, "-I", "-c", code), made)


def _run(command: Sequence[str], folder: Path) -> None:
    process.run(command, folder=folder, environment=process.inherited(), time_limit_s=STEP_S)
