"""From a file to a session that answers: host float32 (n, 1, 28, 28) in [0, 1] in, host float32 logits (n, 10) out.

A runtime is a module of this folder that keeps the contract `Runtime`. They run in workers, never in the process of a
command.
"""

from typing import cast

from mnist_bench.core import plugins
from mnist_bench.runtimes._contract import (
    Effective,
    Images,
    Layers,
    Logits,
    Model,
    PairSums,
    Runtime,
    Session,
    Spec,
)
from mnist_bench.runtimes._onnx_graph import largest_pair_sums, pair_sums
from mnist_bench.runtimes._onnx_precision import effective_precision

__all__ = [
    "Effective",
    "Images",
    "Layers",
    "Logits",
    "Model",
    "PairSums",
    "Runtime",
    "Session",
    "Spec",
    "effective_precision",
    "largest_pair_sums",
    "load",
    "names",
    "of_format",
    "pair_sums",
    "skips_zeros",
    "wants",
]


OPEN = {
    "FORMAT": "weights",
    "DEVICES": ("cpu", "cuda"),
    "PRECISIONS": {"fp32": "fp32"},
    "COMPILED": False,
    "LIBRARY": "mnist-bench",
}
"""Other distributions may add runtimes; see `core.plugins`."""


def names() -> tuple[str, ...]:
    """Return the names of all runtimes."""
    import mnist_bench.runtimes as folder

    return plugins.names(folder)


def load(name: str) -> Runtime:
    """Return a runtime.

    Raises:
        BadInput: there is no such runtime.
    """
    import mnist_bench.runtimes as folder

    return cast("Runtime", plugins.load(folder, name))


def of_format(kind: str) -> list[Runtime]:
    """Return the runtimes that read files of a format."""
    return [module for module in map(load, names()) if kind == module.FORMAT]


def skips_zeros(name: str) -> bool:
    """Tell whether a runtime leaves products with zero out: it may be faster than all of them take."""
    return bool(getattr(load(name), "SKIPS_ZEROS", False))


def wants(name: str) -> tuple[str, ...] | None:
    """Return the distributions that a runtime needs where it is deployed; None where it does not tell."""
    module = load(name)
    own = () if OPEN["LIBRARY"] == module.LIBRARY else (module.LIBRARY,)
    found: tuple[str, ...] | None = getattr(module, "WANTS", own or None)
    return found
