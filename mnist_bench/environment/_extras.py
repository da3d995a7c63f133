"""The extras of this package: what each of them wants, and installing it into this very environment."""

import contextlib
import re
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version

from mnist_bench.core import process
from mnist_bench.core.errors import BadInput, EnvironmentProblem
from mnist_bench.core.kinds import PROGRAM

INSTALL_S = 3600.0
OF_EXTRA = re.compile(r"""\bextra\s*==\s*['"]([^'"]+)['"]""")


def extras() -> dict[str, list[str]]:
    """Return what each extra requires, in the words of pip."""
    found: dict[str, list[str]] = {}
    for line in requires(PROGRAM) or ():
        requirement, _, marker = line.partition(";")
        if name := OF_EXTRA.search(marker):
            found.setdefault(name[1], []).append(requirement.strip())
    return found


def install_extra(name: str, tell: Callable[[str], object]) -> None:
    """Install what an extra requires.

    Not the extra itself: that would look for this package in an index, and might put another version in its place.

    Raises:
        BadInput: there is no such extra.
        EnvironmentProblem: there is neither pip nor uv, or it failed.
    """
    known = extras()
    if name not in known:
        raise BadInput(f"there is nothing to install for {name!r}: choose from {', '.join(sorted(known))}")
    command = [*_installer(), *known[name]]
    tell(" ".join(command))
    process.run(command, environment=process.inherited(), time_limit_s=INSTALL_S)


def _installer() -> list[str]:
    with contextlib.suppress(PackageNotFoundError):
        version("pip")  # to look for its module is what setuptools, where it is there, answers with a warning
        return [sys.executable, "-m", "pip", "install"]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable]
    raise EnvironmentProblem("neither pip nor uv is installed: run python -m ensurepip")
