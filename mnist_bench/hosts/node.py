"""Node: ONNX Runtime's package for it, with a worker in JavaScript."""

import shutil
from collections.abc import Callable
from pathlib import Path

from mnist_bench.core import digest, locks, places, process
from mnist_bench.core.errors import EnvironmentProblem, TargetUnavailable
from mnist_bench.core.kinds import Skipped
from mnist_bench.hosts._contract import Launch

ARGUMENT, RUNTIMES, TIMED = False, ("onnxruntime",), True
PROCESSOR = None
ONLY = True
"""No other runtime answers there."""

SOURCE = Path(__file__).parent / "_node_worker"
FILES = ("package.json", "worker.mjs")
INSTALL_S, LOCK_S = 900.0, 1_200.0
UNFINISHED = ".making-"


def _place() -> Path:
    """Return where it is installed: for these very files, so that another version has another place."""
    key = digest.sha256(b"\0".join((SOURCE / name).read_bytes() for name in FILES))[:16]
    return places.cache_folder() / "node" / key


def why_unavailable() -> Skipped | None:
    """Return why not: it needs Node, and what npm fetches."""
    if not shutil.which("node"):
        return Skipped("node", "Node is not installed", "install it (apt-get install nodejs npm)")
    try:
        there = (_place() / "node_modules" / "onnxruntime-node").is_dir()
    except EnvironmentProblem as error:
        return Skipped("node", str(error), "set HOME")
    return None if there else Skipped("node", "onnxruntime-node is not installed", "mnist-bench hosts --install node")


def installed_bytes(_runtime: str) -> int:
    """Return what npm fetched, in bytes; Node itself is not counted."""
    return sum(path.stat().st_size for path in _place().rglob("*") if path.is_file())


def launch(_argument: str) -> Launch:
    """See `HostModule`."""
    return Launch("node", (shutil.which("node") or "node", str(_place() / "worker.mjs")), process.inherited())


def install(tell: Callable[[str], object]) -> Path:
    """Let npm fetch what the worker wants into the user's cache folder; return where that is.

    No package's own scripts run: they would fetch further programs, for GPUs, from wherever they like.

    Raises:
        TargetUnavailable: there is no Node, or no npm.
        EnvironmentProblem: npm failed.
    """
    npm = shutil.which("npm")
    if not (npm and shutil.which("node")):
        raise TargetUnavailable("node cannot be installed: there is no npm; install it (apt-get install nodejs npm)")
    place = _place()
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locks.exclusive(place.parent / ".lock", LOCK_S):
        if why_unavailable():
            tell("fetching onnxruntime-node by npm")
            locks.remove_abandoned_folders(place.parent, UNFINISHED)
            with locks.held_folder(place.parent, UNFINISHED) as held:
                made = held / "made"
                made.mkdir()
                for name in FILES:
                    shutil.copyfile(SOURCE / name, made / name)
                words = ("install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
                process.run((npm, *words), folder=made, environment=process.inherited(), time_limit_s=INSTALL_S)
                shutil.rmtree(place, ignore_errors=True)
                made.rename(place)
    return place
