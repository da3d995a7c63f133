"""An Intel Haswell: AVX2 and fused multiply-add, without AVX-512 and VNNI."""

from mnist_bench.core.kinds import Skipped
from mnist_bench.hosts._contract import Launch
from mnist_bench.hosts._qemu import ONNXRUNTIME, emulated, no_qemu

ARGUMENT, RUNTIMES, TIMED = False, ONNXRUNTIME, False


def why_unavailable() -> Skipped | None:
    """See `HostModule`."""
    return no_qemu("haswell")


def launch(_argument: str) -> Launch:
    """See `HostModule`."""
    return emulated("haswell", "Haswell")
