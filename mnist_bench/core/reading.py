"""Reading files from anywhere: regular ones alone, and no more of them than is allowed."""

import errno
import gzip
import io
import os
import stat
from pathlib import Path

from mnist_bench.core import limits

NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def read_regular(path: Path, limit_bytes: int, *, links: bool = True) -> bytes:
    """Read a file that is one and is not too large: a pipe or a device would wait, or never end.

    Args:
        path: where it is.
        limit_bytes: a larger one is not read.
        links: follow a link; without, one is an error: in a folder from elsewhere it may lead anywhere.

    Raises:
        OSError: it cannot be read, is no regular file, or is too large.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | (0 if links else NO_LINK)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(error.errno, "it is a link, and none is followed here", str(path)) from error
        raise
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        found = file.read(limit_bytes + 1)
    if len(found) > limit_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {limits.spelled(limit_bytes)}", str(path))
    return found


def is_there(path: Path) -> bool:
    """Tell whether there is something at a path, be it a link to nowhere.

    Raises:
        OSError: that cannot be told: on a failing disk what is there must not be taken for what never was.
    """
    try:
        path.lstat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP):
            return False
        raise
    return True


def unpacked(packed: bytes, limit_bytes: int) -> bytes:
    """Unpack gzip, as far as is allowed: a few megabytes can unpack to any number.

    Raises:
        OSError: it is too large, or no gzip (gzip.BadGzipFile).
        EOFError: it breaks off.
        zlib.error: it is damaged.
    """
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        found = file.read(limit_bytes + 1)
    if len(found) > limit_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {limits.spelled(limit_bytes)} when it is unpacked")
    return found
