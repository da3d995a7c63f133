"""Files and folders that are held by a living process: whoever finds one that nobody holds may remove it.

A lock of the kernel's, flock, and no process id: two containers that share a folder have the same ids.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ABANDONED_S = 24 * 3600.0
"""Where the system has no such locks, what nobody has touched for so long is taken for nobody's."""

NOTHING = -1
"""The descriptor of what cannot be opened: a folder, on systems other than POSIX."""


@contextlib.contextmanager
def held(create: Callable[[], tuple[Path, int]]) -> Iterator[tuple[Path, int]]:
    """Create something and hold it while this lasts; yield its path and its descriptor.

    Args:
        create: makes a file, or a folder, of a new name, and opens it. Who sweeps may find it before it is held, and
            take it for nobody's: then another one is made.
    """
    path, descriptor = create()
    while not _taken(descriptor):
        os.close(descriptor)
        path, descriptor = create()
    try:
        yield path, descriptor
    finally:
        if descriptor != NOTHING:
            os.close(descriptor)


def _taken(descriptor: int) -> bool:
    """Lock what is open; return whether its name is still there."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except (ImportError, OSError, ValueError):  # no such locks here, or not on this file system
        return True
    return os.fstat(descriptor).st_nlink > 0


def opened_folder(path: Path) -> int:
    """Open a folder, to hold it, where the system can do that."""
    return os.open(path, os.O_RDONLY) if os.name == "posix" else NOTHING


def is_held(path: Path) -> bool:
    """Tell whether a living process holds a file or a folder; links are nobody's."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return False
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, OSError):
        return time.time() - path.lstat().st_mtime < ABANDONED_S
    finally:
        os.close(descriptor)
    return False
