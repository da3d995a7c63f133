"""An AMD EPYC of the first generation (Zen): AVX2 and fused multiply-add."""

from mnist_bench.hosts._qemu import ONNXRUNTIME, x86

ARGUMENT, RUNTIMES, TIMED = False, ONNXRUNTIME, False
PROCESSOR = x86("epyc", "EPYC", "ssse3 sse4_1 sse4_2 avx f16c fma avx2")
why_unavailable, launch = PROCESSOR.why_unavailable, PROCESSOR.launch
