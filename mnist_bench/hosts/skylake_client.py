"""An Intel Skylake without AVX-512, as in desktop computers: AVX2 and fused multiply-add."""

from mnist_bench.hosts._qemu import ONNXRUNTIME, x86

ARGUMENT, RUNTIMES, TIMED = False, ONNXRUNTIME, False
PROCESSOR = x86("skylake-client", "Skylake-Client")
why_unavailable, launch = PROCESSOR.why_unavailable, PROCESSOR.launch
