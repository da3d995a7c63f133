"""How much distributions take on disk, with all that they require."""

import csv
import functools
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@functools.cache
def installed_bytes(*names: str) -> int | None:
    """Return the size of some distributions' files and of those of all that they require, as installed here.

    By what their RECORD files say, which leaves out what Python compiles. None where any of them has none, or is not
    installed: then it is not known.
    """
    found: dict[str, int] = {}
    waiting = list(names)
    while waiting:
        try:
            one = distribution(waiting.pop())
        except PackageNotFoundError:
            return None
        own = canonicalize_name(one.name)
        if own in found:
            continue
        recorded = one.read_text("RECORD")
        if not recorded:
            return None
        found[own] = sum(int(size) for *_, size in csv.reader(recorded.splitlines()) if size)
        waiting += _required(one)
    return sum(found.values())


def _required(one: Distribution) -> Iterator[str]:
    """Yield what a distribution requires on this machine; not what its extras add."""
    for line in one.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name
