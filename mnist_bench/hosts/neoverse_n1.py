"""A Neoverse N1, as in servers: ARMv8.2 with dot products of bytes and arithmetic in half precision."""

from mnist_bench.hosts._qemu import ONNXRUNTIME, arm

ARGUMENT, RUNTIMES, TIMED = False, ONNXRUNTIME, False
PROCESSOR = arm("neoverse-n1", "neoverse-n1", 0xD0C, features="fphp asimdhp asimdrdm lrcpc dcpop asimddp")
why_unavailable, launch = PROCESSOR.why_unavailable, PROCESSOR.launch
