"""Folders for what lasts as long as a process: private, unpredictable, and swept when their owner has died."""

import contextlib
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from mnist_bench.core import locks
from mnist_bench.core.errors import EnvironmentProblem

PREFIX = "mnist-bench-scratch-"
OURS = re.compile(re.escape(PREFIX) + "[a-z0-9_]{8}")
"""What `tempfile` makes of that: nothing else of such a place is ever removed."""
OTHERS = "/var/tmp", "/tmp", "/dev/shm"  # noqa: S108 a folder of an unpredictable name is made in one of them
ROOM_BYTES = 8 * 2**20
"""So much must be free where a scratch folder is made: a model of this network, and what is compiled from it."""


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Make a folder for this process and its children, and remove it with all that is in it at the end.

    Raises:
        EnvironmentProblem: there is no place for one.
    """
    place = root()
    sweep(place)
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(locks.held_folder(place, PREFIX))
        except OSError as error:
            raise EnvironmentProblem(_no_place(place, error.strerror or str(error))) from error
        yield made


def root() -> Path:
    """Return where scratch folders are made: in the usual place for temporary files, or in another where that is bad.

    Compilers split a path at its spaces, and what they made cannot be loaded where nothing may be executed.
    """
    usual = Path(tempfile.gettempdir())
    return next((place for place in (usual, *map(Path, OTHERS)) if not why_unusable(place)), usual)


def why_unusable(place: Path) -> str | None:
    """Return why a folder cannot hold what is compiled, loaded and removed again; None where it can."""
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        return f"{place} cannot be written"
    if any(letter.isspace() for letter in str(place)):
        return f"{place} has a space in its name, at which compilers split it"
    if os.name == "posix":
        if executes_nothing(place):
            return f"nothing in {place} may be executed (noexec)"
        system = os.statvfs(place)
        if system.f_bavail * system.f_frsize < ROOM_BYTES:
            return f"{place} is full"
    return None


def executes_nothing(place: Path) -> bool:
    """Tell whether what lies in a folder can be neither executed nor loaded."""
    return os.name == "posix" and bool(os.statvfs(place).f_flag & getattr(os, "ST_NOEXEC", 0))


def why_no_place() -> str | None:
    """Return why no scratch folder here can hold what is compiled; None where one can."""
    reason = why_unusable(root())
    return reason and f"{reason}; set TMPDIR to a folder that is not so"


def variables(scratch: Path) -> Mapping[str, str]:
    """Return the environment variables with which a child puts its temporary files into a scratch folder.

    What torch's compiler keeps stays where it always is, if that can be used: it would be compiled anew each time.
    """
    kept = {} if "TORCHINDUCTOR_CACHE_DIR" in os.environ else {"TORCHINDUCTOR_CACHE_DIR": str(_compiled(scratch))}
    return {"TMPDIR": str(scratch), **kept}


def _compiled(scratch: Path) -> Path:
    from mnist_bench.core.places import cache_folder

    with contextlib.suppress(EnvironmentProblem, OSError):
        place = cache_folder() / "torch-inductor"
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not why_unusable(place):
            return place
    return scratch / "torch-inductor"


@functools.cache
def sweep(place: Path) -> None:
    """Remove the scratch folders of processes that died; once a process."""
    for left in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            own = os.name != "posix" or left.lstat().st_uid == os.getuid()
            if own and OURS.fullmatch(left.name) and left.is_dir() and not left.is_symlink():
                locks.remove_abandoned(left, lambda path: shutil.rmtree(path, ignore_errors=True))


def _no_place(place: Path, reason: str) -> str:
    return f"no temporary folder can be made in {place} ({reason}): free some room there, or set TMPDIR to another"
