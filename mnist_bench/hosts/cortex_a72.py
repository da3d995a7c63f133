"""A Cortex-A72: ARMv8.0, as in a Raspberry Pi 4."""

from mnist_bench.hosts._qemu import ONNXRUNTIME, arm

ARGUMENT, RUNTIMES, TIMED = False, ONNXRUNTIME, False
PROCESSOR = arm("cortex-a72", "cortex-a72", 0xD08)
why_unavailable, launch = PROCESSOR.why_unavailable, PROCESSOR.launch
