"""Another installation's Python, which has a mnist-bench of its own."""

import shlex

from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.process import inherited
from mnist_bench.hosts._contract import Launch
from mnist_bench.hosts.here import WORKER

ARGUMENT, RUNTIMES, TIMED = True, None, True
PROCESSOR = None


def why_unavailable() -> Skipped | None:
    """Whether it can be used shows when it is started."""
    return None


def launch(argument: str) -> Launch:
    """See `HostModule`; the argument is the command that starts the Python.

    It has no label: it is the other side of a gate, and sides are what tell their targets apart.
    """
    try:
        command = shlex.split(argument)
    except ValueError as error:
        raise BadInput(f"python {argument!r} cannot be read ({error}): check its quotation marks") from error
    return Launch("", (*command, *WORKER), inherited(own_path=False))
