"""The network as torch runs it from a checkpoint."""

from mnist_bench import model, store
from mnist_bench.runtimes._session import Model


def network(source: Model, device: str) -> model.Network:
    """Build the network of a checkpoint's weights, in evaluation mode, on a device."""
    import torch

    built = model.Network(source.activation).eval()
    arrays = store.read_arrays(source.path)
    built.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
    return built.requires_grad_(requires_grad=False).to(device)
