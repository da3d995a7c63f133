"""Files and folders that are held by a living process: whoever finds one that nobody holds may remove it.

A lock of the kernel's, flock, and no process id: two containers that share a folder have the same ids.
"""

import contextlib
import errno
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from mnist_bench.core.reading import NO_LINK

ABANDONED_S = 24 * 3600.0
"""Where the system has no such locks, what nobody has touched for so long is taken for nobody's."""

TRIES = 100

NOTHING = -1
"""The descriptor of what cannot be opened: a folder, on systems other than POSIX."""


@contextlib.contextmanager
def exclusive(path: Path, timeout_s: float) -> Iterator[None]:
    """Lock a file, which stays, while this lasts.

    Raises:
        filelock.Timeout: another process holds it for longer, which is an OSError.
        OSError: it cannot be made.
    """
    import filelock  # workers, which lock nothing, start without it

    lock = filelock.FileLock(path, timeout=timeout_s)
    with warnings.catch_warnings():
        # Where the system has no such locks, it makes do with the file's existence, and says so at length.
        warnings.simplefilter("ignore")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def held(create: Callable[[], tuple[Path, int]]) -> Iterator[tuple[Path, int]]:
    """Create something and hold it while this lasts; yield its path and its descriptor.

    Args:
        create: makes a file, or a folder, of a new name, and opens it. Who sweeps may find it before it is held, and
            take it for nobody's: then another one is made.
    """
    path, descriptor = _held(create)
    try:
        yield path, descriptor
    finally:
        if descriptor != NOTHING:
            os.close(descriptor)


@contextlib.contextmanager
def held_folder(place: Path, prefix: str, suffix: str = "") -> Iterator[Path]:
    """Make a private folder of an unpredictable name, hold it while this lasts, and remove it with all that is in it.

    Raises:
        OSError: it cannot be made.
    """

    def create() -> tuple[Path, int]:
        made = Path(tempfile.mkdtemp(prefix=prefix, suffix=suffix, dir=place))
        return made, _opened_folder(made)

    with held(create) as (made, _):
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)


def _held(create: Callable[[], tuple[Path, int]]) -> tuple[Path, int]:
    for _ in range(TRIES):
        with contextlib.suppress(_Swept):
            path, descriptor = create()
            if _taken(descriptor):
                return path, descriptor
            os.close(descriptor)
    raise OSError(errno.EBUSY, "others remove what is made there at once")


class _Swept(Exception):
    """A folder was gone before it was held."""


def _taken(descriptor: int) -> bool:
    """Lock what is open; return whether its name is still there."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except (ImportError, OSError, ValueError):  # no such locks here, or not on this file system
        return True
    return os.fstat(descriptor).st_nlink > 0


def _opened_folder(path: Path) -> int:
    """Make a new folder readable, and open it, to hold it, where the system can do that."""
    try:
        path.chmod(0o700)  # whatever the umask
        return os.open(path, os.O_RDONLY) if os.name == "posix" else NOTHING
    except FileNotFoundError as error:
        raise _Swept from error


def remove_abandoned(path: Path, remove: Callable[[Path], object]) -> None:
    """Remove a file, or a folder, that no living process holds; while it is removed nobody else can take it.

    What cannot be opened is left, but for links and what is no longer there: it may be another user's.
    """
    if path.is_symlink():
        remove(path)
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | NO_LINK | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return
    try:
        if _free(descriptor, path):
            remove(path)
    finally:
        os.close(descriptor)


def remove_abandoned_folders(place: Path, prefix: str) -> None:
    """Remove what `held_folder` made there for processes that died."""
    for left in place.glob(f"{prefix}*"):
        remove_abandoned(left, lambda path: shutil.rmtree(path, ignore_errors=True))


def _free(descriptor: int, path: Path) -> bool:
    """Lock what is open, unless somebody holds it."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return time.time() - path.lstat().st_mtime > ABANDONED_S
    return True
