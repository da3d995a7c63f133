"""Which engine executes the steps."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mnist_bench.core import plugins
from mnist_bench.core.errors import BadInput, TargetUnavailable
from mnist_bench.data import Dataset
from mnist_bench.training import engines

FASTEST = {"cpu": ("sparse", "onednn", "preallocated"), "cuda": ("cuda-graph", "preallocated")}
"""Per kind of device, the engines that are exactly the protocol, the fastest first; as `bench --training` measured."""


@dataclass(frozen=True)
class Choice:
    """The engine that trains where none is asked for, and why faster ones cannot, a line each."""

    engine: str
    passed_over: tuple[str, ...]


def default_engine(device: str, dataset: Dataset | None = None) -> Choice:
    """Choose the fastest engine that is exactly the protocol and can be used here, for `cpu` or `cuda:N`.

    Which one that is depends on the images: where they are not known yet, they are taken for dark ones.
    """
    passed_over: list[str] = []
    for name in FASTEST[_kind(device)]:
        module = plugins.load(engines, name)
        if skipped := module.why_unavailable():
            passed_over.append(f"{name}: {skipped.reason}; {skipped.remedy}")
        elif not (dataset and _lit_share(dataset) > getattr(module, "LARGEST_LIT_SHARE", 1.0)):
            return Choice(name, tuple(passed_over))
    raise TargetUnavailable("; ".join(passed_over))


def _lit_share(dataset: Dataset) -> float:
    """Return what share of the training images' pixels is not zero."""
    return float(np.count_nonzero(dataset.train.pixels) / dataset.train.pixels.size)


def usable_engine(name: str, device: str) -> Any:
    """Return an engine's module.

    Raises:
        BadInput: there is no such engine, or it does not run on that kind of device.
        TargetUnavailable: it cannot be used here.
    """
    module = plugins.load(engines, name)
    if _kind(device) not in module.DEVICES:
        raise BadInput(f"engine {name!r} does not run on {device}: choose another --engine, or --device")
    if skipped := module.why_unavailable():
        raise TargetUnavailable(str(skipped))
    return module


def engines_for(device: str) -> list[str]:
    """Return the engines that can be used on a device here."""
    modules = {name: plugins.load(engines, name) for name in plugins.names(engines)}
    return [
        name for name, module in modules.items() if _kind(device) in module.DEVICES and module.why_unavailable() is None
    ]


def skips_zeros(name: str) -> bool:
    """Tell whether an engine leaves products with zero out."""
    return bool(getattr(plugins.load(engines, name), "SKIPS_ZEROS", False))


def _kind(device: str) -> str:
    return device.partition(":")[0]
