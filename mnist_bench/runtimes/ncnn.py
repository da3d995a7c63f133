"""ncnn on a CPU, image by image: it has no notion of a batch. It stores half precision unless it is told not to."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from mnist_bench.core.errors import ModelRefused
from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes._contract import Effective, Images, Logits, Model, Session, Spec, as_stored, extra

FORMAT, DEVICES, PRECISIONS = "ncnn", ("cpu",), as_stored("fp32")
EXTRA = ("ncnn", "ncnn", (1, 0, 20260101))
COMPILED, LIBRARY = False, "ncnn"
LOWERED = (
    *("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_packed", "use_bf16_storage"),
    *("use_int8_packed", "use_int8_storage", "use_int8_arithmetic", "use_int8_inference"),
)
"""All that could lower the precision; what a version does not know, it does not do."""


def why_unavailable() -> Skipped | None:
    """See `Runtime`."""
    return extra("ncnn", *EXTRA)


def why_not_on(_device: str) -> Skipped | None:
    """See `Runtime`."""
    return None


def version() -> str:
    """Return ncnn's version."""
    import ncnn

    return str(ncnn.__version__)


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Load a graph and its numbers."""
    import ncnn

    network = ncnn.Net()
    network.opt.num_threads, network.opt.use_vulkan_compute = spec.threads, False
    for name in LOWERED:
        if hasattr(network.opt, name):
            setattr(network.opt, name, False)
    with model.on_disk() as folder:
        for load, name in ((network.load_param, "model.param"), (network.load_model, "model.bin")):
            if load(str(folder / name)):
                raise ModelRefused(f"ncnn cannot read its {name}")

    def logits_of(image: Images) -> Logits:
        extractor = network.create_extractor()
        extractor.input(
            "image", ncnn.Mat(image.reshape(-1))
        )  # one longer than the weights would be read beyond its end
        logits: Logits = np.array(extractor.extract("logits")[1])
        return logits

    def run(images: Images) -> Logits:
        if len(images) == 1:  # as always but in tests: `stack` takes a tenth of the network's time
            return logits_of(images).reshape(1, -1)
        return np.stack([logits_of(image) for image in images])

    yield Session(run, lambda: _effective(network), batch=1)
    network.clear()


def _effective(network: Any) -> Effective:
    """Read back what it may lower."""
    on = [name for name in LOWERED if getattr(network.opt, name, False)]
    return Effective("ncnn CPU", f"what {', '.join(on)} makes of it" if on else "fp32")
