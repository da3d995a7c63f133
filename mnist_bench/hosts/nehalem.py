"""An Intel Nehalem: SSE4.2 and nothing newer."""

from mnist_bench.hosts._qemu import ONNXRUNTIME, x86

ARGUMENT, RUNTIMES, TIMED = False, ONNXRUNTIME, False
PROCESSOR = x86("nehalem", "Nehalem")
why_unavailable, launch = PROCESSOR.why_unavailable, PROCESSOR.launch
