"""Which engine executes the steps."""

from typing import Any

from mnist_bench.core import plugins
from mnist_bench.core.errors import BadInput, TargetUnavailable
from mnist_bench.training import engines

FASTEST = {"cpu": ("onednn", "preallocated"), "cuda": ("cuda-graph", "preallocated")}
"""Per kind of device, the engines that are exactly the protocol, the fastest first; as `bench --training` measured."""


def default_engine(device: str) -> str:
    """Return the fastest engine that is exactly the protocol and can be used here, for `cpu` or `cuda:N`."""
    return next(name for name in FASTEST[_kind(device)] if plugins.load(engines, name).why_unavailable() is None)


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


def _kind(device: str) -> str:
    return device.partition(":")[0]
