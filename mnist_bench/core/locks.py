"""Files and folders that are held by a living process: whoever finds one that nobody holds may remove it.

A lock of the kernel's, flock, and no process id: two containers that share a folder have the same ids.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

ABANDONED_S = 24 * 3600.0
"""Where the system has no such locks, what nobody has touched for so long is taken for nobody's."""


@contextlib.contextmanager
def held(descriptor: int) -> Iterator[bool]:
    """Hold an open file, or folder, while this lasts; yield whether its name is still there."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except (ImportError, OSError):  # no such locks here, or not on this file system
        yield True
        return
    yield os.fstat(descriptor).st_nlink > 0


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
