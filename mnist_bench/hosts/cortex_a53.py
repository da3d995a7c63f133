"""A Cortex-A53: ARMv8.0, what most small boards have; its kernels load 64 bits at a time."""

from mnist_bench.hosts._qemu import ONNXRUNTIME, arm

ARGUMENT, RUNTIMES, TIMED = False, ONNXRUNTIME, False
PROCESSOR = arm("cortex-a53", "cortex-a53", 0xD03)
why_unavailable, launch = PROCESSOR.why_unavailable, PROCESSOR.launch
