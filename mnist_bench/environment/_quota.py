"""How much processor time a container may take: what its control groups allow, of version 2 and of version 1.

Format: Linux, Documentation/admin-guide/cgroup-v2.rst (`cpu.max`, `cpu.stat`) and scheduler/sched-bwc.rst.
"""

from collections.abc import Iterator
from pathlib import Path

ROOT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def cpu_quota(root: Path = ROOT, own: Path = OWN) -> float | None:
    """Return how many cores' time this process may take by its own group's quota and those above it; None of no limit.

    Args:
        root: where control groups are mounted.
        own: which groups this process is in, as the system tells.
    """
    return min(filter(None, (_quota_of(folder) for folder in _groups(root, own))), default=None)


def throttled_periods(root: Path = ROOT, own: Path = OWN) -> int | None:
    """Return in how many periods this process's group has been made to wait so far; None where nobody counts."""
    for folder in _groups(root, own):
        for line in _read(folder / "cpu.stat").splitlines():
            name, _, count = line.partition(" ")
            if name == "nr_throttled" and count.isdecimal():
                return int(count)
    return None


def _groups(root: Path, own: Path) -> Iterator[Path]:
    """Yield the folders of this process's groups that know of processors, each before those above it.

    In a container the path may be the host's: then the folders that it names are not there, and the mount is the group.
    """
    for line in _read(own).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" or "cpu" in controllers.split(","):
            mount = root / controllers if controllers else root
            folder = mount / path.strip("/")
            yield from (one for one in (folder, *folder.parents) if one.is_relative_to(mount) and one.is_dir())


def _quota_of(folder: Path) -> float | None:
    limit, _, period = _read(folder / "cpu.max").strip().partition(" ")
    if not limit:
        limit, period = (_read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    if not (limit.isdecimal() and period.isdecimal() and int(limit) and int(period)):  # "max", and -1: no limit
        return None
    return int(limit) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
