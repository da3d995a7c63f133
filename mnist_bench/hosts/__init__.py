"""Where a worker runs, and how it is started and reached: a module a kind of host, whose name is its name.

A host module has `TIMED` (whether what it runs says anything of speed), `why_unavailable()` (a `Skipped`, or None) and
`launch(argument)`, which says how a worker is started. `argument` is what stands behind the
name in `command:./engine`, and empty for hosts that need none.
"""

from typing import cast

from mnist_bench.core import plugins
from mnist_bench.core.errors import BadInput
from mnist_bench.hosts._contract import HERE, Host, HostModule, Launch
from mnist_bench.hosts._worker import (
    Hello,
    Inspected,
    Limits,
    Opened,
    Sums,
    Timed,
    Timing,
    Worker,
    started,
)

__all__ = [
    "HERE",
    "Hello",
    "Host",
    "HostModule",
    "Inspected",
    "Launch",
    "Limits",
    "Opened",
    "Sums",
    "Timed",
    "Timing",
    "Worker",
    "load",
    "named",
    "names",
    "started",
]


def names() -> tuple[str, ...]:
    """Return the names of all kinds of hosts."""
    import mnist_bench.hosts as folder

    return plugins.names(folder)


def load(kind: str) -> HostModule:
    """Return a kind of host.

    Raises:
        BadInput: there is no such kind.
    """
    import mnist_bench.hosts as folder

    return cast("HostModule", plugins.load(folder, kind))


def named(text: str) -> Host:
    """Return the host that is called `haswell`, or `command:./engine {model}`.

    Raises:
        BadInput: there is no such kind, or it lacks its argument, or has one too many.
    """
    kind, _, argument = text.partition(":")
    module = load(kind)
    if bool(argument) is not module.ARGUMENT:
        wants = f"needs an argument: {kind}:…" if module.ARGUMENT else "takes no argument"
        raise BadInput(f"host {kind!r} {wants}")
    return Host(kind, argument)


def launch(host: Host) -> Launch:
    """Say how a worker is started on a host; raises BadInput where the host makes no sense."""
    return load(host.kind).launch(host.argument)
