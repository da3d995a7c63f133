"""What an exporter gets and what it tells, on the inside of its process."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from mnist_bench import data, model, store
from mnist_bench.core import plugins
from mnist_bench.core.dataset_names import shown
from mnist_bench.core.kinds import Precision
from mnist_bench.core.types import Record
from mnist_bench.formats._messages import ExportRequest, Facts, Reference

EXAMPLE_BATCH = 2
"""With an example of one image, exporters take the batch size for a constant."""


@dataclass(frozen=True)
class Request:
    """A network to export.

    `module` is in evaluation mode on the CPU; of an imported one there is a `graph` in its place, an ONNX file.
    `calibration()` returns training images as the network wants them: float32 (n, 1, 28, 28) where it is the specified
    one. `reference()` returns the reference's answers to a format that wants them.
    """

    module: model.Network | None
    graph: bytes | None
    record: Record
    precision: Precision
    opset: int | None
    device: str
    calibration: Callable[[], NDArray[Any]]
    reference: Callable[[], Reference]

    @property
    def network(self) -> model.Network:
        """The specified network, for formats that write no other."""
        assert self.module is not None
        return self.module

    def example(self) -> torch.Tensor:
        """Return an input to trace with: zeros, so that no image gets into a file."""
        return torch.zeros(EXAMPLE_BATCH, 1, 28, 28)

    def metadata(self) -> dict[str, str]:
        """Return what a file should tell of itself, the same for equal runs."""
        config = self.record.config
        versions = self.record.environment.libraries
        return {
            "classes": ",".join(self.record.dataset.classes),
            "normalisation": "pixels / 255, float32 in [0, 1]",
            "run": self.record.name,
            "dataset": shown(config.dataset),
            "activation": config.activation,
            "weights_sha256": self.record.checkpoint.weights.sha256 if self.record.checkpoint else "",
            "precision": self.precision,
        } | {f"trained_with.{name}": version for name, version in versions.items()}


def _network(folder: Path, record: Record) -> model.Network:
    assert record.checkpoint
    network = model.Network(record.config.activation, record.config.dropout).eval()
    arrays = store.load_weights(folder, record.checkpoint.weights)
    network.load_state_dict({key: torch.from_numpy(array.copy()) for key, array in arrays.items()})
    return network.requires_grad_(requires_grad=False)


def serve(wanted: ExportRequest) -> Facts:
    """Export one file: called in a process of its own."""
    from mnist_bench import formats

    folder, data_dir = Path(wanted.folder), Path(wanted.data_dir) if wanted.data_dir else None
    record = store.load_record(folder)
    assert record.checkpoint
    network = None if record.is_graph else _network(folder, record)
    graph = store.content(folder, record.checkpoint.weights) if record.is_graph else None

    def calibration() -> NDArray[Any]:
        images = data.to_input(data.load(record.config.dataset, data_dir).train.pixels)
        return record.signature.adapt(images)

    def reference() -> Reference:
        assert wanted.reference
        path = Path(wanted.reference)
        return Reference.of_arrays(store.to_arrays(path.read_bytes(), path))

    request = Request(network, graph, record, wanted.precision, wanted.opset, wanted.device, calibration, reference)
    facts: Facts = plugins.load(formats, wanted.name).export(request, Path(wanted.path))
    return facts
