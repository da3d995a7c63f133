"""An Intel Haswell: AVX2 and fused multiply-add, without AVX-512 and VNNI."""

from mnist_bench.hosts._qemu import ONNXRUNTIME, x86

ARGUMENT, RUNTIMES, TIMED = False, ONNXRUNTIME, False
PROCESSOR = x86("haswell", "Haswell", "ssse3 sse4_1 sse4_2 avx f16c fma avx2")
why_unavailable, launch = PROCESSOR.why_unavailable, PROCESSOR.launch
