"""An Intel Nehalem: SSE4.2 and nothing newer."""

from mnist_bench.core.kinds import Skipped
from mnist_bench.hosts._contract import Launch
from mnist_bench.hosts._qemu import ONNXRUNTIME, emulated, no_qemu

ARGUMENT, RUNTIMES, TIMED = False, ONNXRUNTIME, False


def why_unavailable() -> Skipped | None:
    """See `HostModule`."""
    return no_qemu("nehalem")


def launch(_argument: str) -> Launch:
    """See `HostModule`."""
    return emulated("nehalem", "Nehalem")
