"""All that QEMU knows of ARM, SVE and SME among it: no processor of anybody's, and a trial of the emulator itself."""

from mnist_bench.hosts._qemu import ONNXRUNTIME, arm

ARGUMENT, RUNTIMES, TIMED = False, ONNXRUNTIME, False
PROCESSOR = arm("arm-max", "max", 0xD0C, features="fphp asimdhp asimdrdm lrcpc dcpop asimddp", trial=True)
why_unavailable, launch = PROCESSOR.why_unavailable, PROCESSOR.launch
