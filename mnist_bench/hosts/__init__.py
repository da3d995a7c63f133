"""Where a worker runs, and how it is started and reached: a module a kind of host, whose name is its name.

A host module has `TIMED` (whether what it runs says anything of speed), `PROCESSOR` (what is emulated, or None),
`why_unavailable()` (a `Skipped`, or None) and `launch(argument)`, which says how a worker is started. `argument` is
what stands behind the name in `command:./engine`, and empty for hosts that need none; an emulated processor takes a
command to run.
"""

from collections.abc import Callable
from pathlib import Path
from typing import cast

from mnist_bench.core import plugins
from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.signature import Signature
from mnist_bench.hosts import _install
from mnist_bench.hosts._contract import HERE, Host, HostModule, Launch
from mnist_bench.hosts._known_answers import prove
from mnist_bench.hosts._qemu import Processor
from mnist_bench.hosts._worker import (
    Hello,
    Inspected,
    Instructions,
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
    "Instructions",
    "Launch",
    "Limits",
    "Opened",
    "Processor",
    "Sums",
    "Timed",
    "Timing",
    "Worker",
    "answers_itself",
    "answers_with",
    "everywhere",
    "install",
    "is_of_this_machine",
    "load",
    "named",
    "names",
    "of_one_runtime",
    "processor",
    "processors",
    "prove",
    "started",
    "takes",
    "why_without",
]


OPEN = {"ARGUMENT": False, "TIMED": False, "PROCESSOR": None, "RUNTIMES": ()}
"""Other distributions may add hosts; see `core.plugins`."""


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


def processors() -> tuple[str, ...]:
    """Return the names of all emulated processors, those that cannot be used here too."""
    return tuple(name for name in names() if load(name).PROCESSOR)


def processor(name: str) -> Processor:
    """Return an emulated processor.

    Raises:
        BadInput: there is none of that name.
    """
    if name not in names() or not (found := load(name).PROCESSOR):
        raise BadInput(f"no {name!r} among the processors: choose from all, {', '.join(processors())}")
    return found


def install(name: str, tell: Callable[[str], object]) -> Path:
    """Fetch what a host needs into the user's cache folder, unless it is there; return where it is.

    Raises:
        BadInput: there is no such host, or it needs nothing of the kind.
        TargetUnavailable: this machine lacks what that takes.
        EnvironmentProblem: something could not be fetched, or does not start.
    """
    own = {one: found for one in names() if (found := getattr(load(one), "install", None))}
    if name in own:
        made: Path = own[name](tell)
        return made
    if name not in processors():
        known = ", ".join(sorted((*own, *processors())))
        raise BadInput(f"there is nothing to install for host {name!r}: choose from {known}")
    return _install.install(processor(name), tell)


def answers_itself(host: Host) -> bool:
    """Tell whether a program of somebody's answers there, instead of one of our workers with a runtime."""
    return load(host.kind).RUNTIMES == () or bool(load(host.kind).PROCESSOR and host.argument)


def is_of_this_machine(host: Host) -> bool:
    """Tell whether what answers there is installed by us and runs on this very processor."""
    module = load(host.kind)
    return not (module.ARGUMENT or module.PROCESSOR)


def takes(host: Host, signature: Signature | None) -> bool:
    """Tell whether a host's worker can give a model its images, and take its answers: not all beside Python can."""
    if signature is None or signature.is_plain or not getattr(module := load(host.kind), "ONLY", False):
        return True
    return {signature.dtype, signature.answers} <= set(getattr(module, "BORDER_TYPES", ()))


def answers_with(host: Host, runtime: str) -> bool:
    """Tell whether a host may have a runtime: one that is `ONLY` for some has no other."""
    module = load(host.kind)
    return not getattr(module, "ONLY", False) or runtime in (module.RUNTIMES or ())


def of_one_runtime() -> tuple[str, ...]:
    """Return the hosts of this machine where a program of another kind than Python answers: `node`."""
    return tuple(name for name in names() if getattr(load(name), "ONLY", False) and is_of_this_machine(Host(name)))


def everywhere(device: str = "cpu") -> tuple[Host, ...]:
    """Return where a run's files are asked unless told: this machine, and what was installed on it beside Python."""
    if device != "cpu":
        return (HERE,)
    return (HERE, *(Host(name) for name in of_one_runtime() if not load(name).why_unavailable()))


def why_without(host: Host, runtime: str) -> Skipped | None:
    """Return why a host that can be used has no worker for a runtime, as far as it tells before one is started."""
    own = getattr(load(host.kind), "why_without", None)
    missing: Skipped | None = own(runtime) if own else None
    return missing


def launch(host: Host) -> Launch:
    """Say how a worker is started on a host; raises BadInput where the host makes no sense."""
    return load(host.kind).launch(host.argument)
