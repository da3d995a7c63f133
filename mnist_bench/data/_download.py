"""Fetching a dataset with torchvision into the user's cache folder."""

import contextlib
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from mnist_bench.core import locks
from mnist_bench.core.errors import DataUnavailable
from mnist_bench.core.places import cache_folder

STALLED_S = 30
"""A connection that is silent for so long counts as broken; torchvision itself would wait for ever."""

UNFINISHED = ".download-"

LOCK_S = 600
"""So long one process waits for another one's download."""


def fetch(name: str, folder: str, check: Callable[[Path], object], find: Callable[[], object]) -> Path:
    """Download a dataset, check it, and put it into the cache folder in one step.

    Args:
        name: the dataset's name, for messages.
        folder: the name of torchvision's class and of the folder below the root.
        check: reads a `raw` folder and raises where it is wrong.
        find: returns something where the dataset is in the cache.

    Returns:
        The `raw` folder in the cache.

    Raises:
        DataUnavailable: no network, a broken download, a cache folder that cannot be written.
    """
    raw = cache_folder() / folder / "raw"
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        with locks.exclusive(cache_folder() / f"{folder}.lock", LOCK_S):
            for left in raw.parent.glob(f"{UNFINISHED}*"):  # by a process that died: the lock is ours
                shutil.rmtree(left, ignore_errors=True)
            if not find():  # else another process was faster
                _download(folder, raw, check)
    except (OSError, RuntimeError) as error:  # torchvision's errors, and filelock's timeout, which is an OSError
        raise DataUnavailable(_two_ways_out(name, error)) from error
    return raw


def _two_ways_out(name: str, error: Exception) -> str:
    cause = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    return (
        f"{name} is not on this machine and could not be downloaded ({cause}): put its four files into a folder DIR "
        f"and give --data-dir DIR, or use --dataset digits, which needs no download"
    )


def _download(folder: str, raw: Path, check: Callable[[Path], object]) -> None:
    raw.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=raw.parent, prefix=UNFINISHED) as root, _patient_but_not_for_ever():
        from torchvision import datasets

        getattr(datasets, folder)(root, download=True)
        fetched = Path(root, folder, "raw")
        check(fetched)
        fetched.replace(raw)


@contextlib.contextmanager
def _patient_but_not_for_ever() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALLED_S)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout belongs to the record
            yield
    finally:
        socket.setdefaulttimeout(before)
