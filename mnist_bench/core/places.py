"""Folders of the user's, looked up where they are needed: a user may have none."""

from pathlib import Path

from mnist_bench.core.errors import EnvironmentProblem
from mnist_bench.core.kinds import PROGRAM


def cache_folder() -> Path:
    """Return this project's folder among the user's caches; it may not exist.

    Raises:
        EnvironmentProblem: the user has no home, as in a container with a user id of its own.
    """
    import platformdirs

    try:
        found = platformdirs.user_cache_path(PROGRAM)
    except (RuntimeError, KeyError, OSError):
        found = Path("~")
    if not found.is_absolute():  # "~" stands where nothing is known
        raise EnvironmentProblem("this user has no home folder: set HOME or XDG_CACHE_HOME to a folder")
    return found
