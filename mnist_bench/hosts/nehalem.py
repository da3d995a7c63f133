"""An Intel Nehalem: SSE4.2 and nothing newer."""

from mnist_bench.hosts._qemu import ONNXRUNTIME, x86

ARGUMENT, RUNTIMES, TIMED = False, ONNXRUNTIME, False
PROCESSOR = x86("nehalem", "Nehalem", "ssse3 sse4_1 sse4_2")
why_unavailable, launch = PROCESSOR.why_unavailable, PROCESSOR.launch
