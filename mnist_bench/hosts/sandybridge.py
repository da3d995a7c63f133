"""An Intel Sandy Bridge: AVX, without AVX2 and without fused multiply-add."""

from mnist_bench.hosts._qemu import ONNXRUNTIME, x86

ARGUMENT, RUNTIMES, TIMED = False, ONNXRUNTIME, False
PROCESSOR = x86("sandybridge", "SandyBridge", "ssse3 sse4_1 sse4_2 avx")
why_unavailable, launch = PROCESSOR.why_unavailable, PROCESSOR.launch
