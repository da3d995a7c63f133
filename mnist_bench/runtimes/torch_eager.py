"""PyTorch as it comes, operation by operation."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes import _torch
from mnist_bench.runtimes._contract import (
    ACTIVATED,
    DENSE,
    Model,
    Session,
    Spec,
    as_stored,
    layer_names,
    not_installed,
)

if TYPE_CHECKING:
    import torch

    from mnist_bench.model import Network

FORMAT, DEVICES, PRECISIONS = "weights", ("cpu", "cuda"), as_stored("fp32")
COMPILED, LIBRARY = False, "torch"
version = _torch.version


def why_unavailable() -> Skipped | None:
    """See `Runtime`."""
    return not_installed("torch-eager", "torch", "pip install torch")


def why_not_on(device: str) -> Skipped | None:
    """See `Runtime`."""
    return _torch.no_cuda("torch-eager", device)


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Open a checkpoint."""
    with _torch.configured(spec):
        network = _torch.network(model, spec.device)
        yield _torch.session(network, spec.device, model, lambda images: _shown(network, images))


def _shown(network: "Network", images: "torch.Tensor") -> "dict[str, torch.Tensor]":
    """Let the network's modules note what they give; the two activations are one module, which is called twice."""
    found: list[tuple[str, torch.Tensor]] = []

    def noting(kind: str) -> Any:
        return lambda _module, _inputs, output: found.append((kind, output))

    noted = [(network.fc1, DENSE), (network.fc2, DENSE), (network.fc3, DENSE), (network.activation, ACTIVATED)]
    hooks = [module.register_forward_hook(noting(kind)) for module, kind in noted]
    try:
        network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return dict(zip(layer_names([kind for kind, _ in found]), (value for _, value in found), strict=True))
