"""Training a network that is not the specified one: any module from an image to logits, by PyTorch as it comes."""

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from mnist_bench import data, model, store
from mnist_bench.core.errors import BadInput, Interrupted
from mnist_bench.core.events import EpochDone, ImagesTrained, OnEvent, Stop, TrainingFinished, TrainingStarted
from mnist_bench.core.types import EpochMetrics, FinalMeasurement, Record
from mnist_bench.training import _session
from mnist_bench.training._schedule import derived_seed
from mnist_bench.training.engines import eager

EXAMPLE = 2
DEFAULT_FACTORY = "network"
"""What is called in a file, unless it is named behind a colon."""


class Wrapped(model.Network):
    """A user's module in the place of ours: its dropout is its own, so no mask reaches it."""

    def __init__(self, inner: nn.Module) -> None:
        nn.Module.__init__(self)  # without our layers
        self.inner = inner

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Tensor:  # noqa: ARG002 see the class
        """Map images float32 (n, 1, 28, 28) to logits float32 (n, classes)."""
        logits: Tensor = self.inner(image)
        return logits


@dataclass(frozen=True)
class OwnTrained:
    """What came of it: the module in evaluation mode on the CPU, its epochs and its final measurement."""

    network: nn.Module
    epochs: tuple[EpochMetrics, ...]
    final: FinalMeasurement


def build_network(source: str, classes: int, seed: int) -> nn.Module:
    """Call the factory of a network: `package.module:factory`, or `file.py:factory` (`network` where none is named).

    Raises:
        BadInput: there is no such factory, it fails, or what it returns does not map images to logits.
    """
    factory = _factory(source)
    torch.manual_seed(derived_seed(seed, 0, "weights"))
    try:
        network = factory()
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        raise BadInput(f"{source} failed: {type(error).__name__}: {error}") from error
    if not isinstance(network, nn.Module):
        raise BadInput(f"{source} returned {type(network).__name__}, and no torch.nn.Module")
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise BadInput(f"{source} has nothing to train: it has no parameters")
    _check_answers(source, network, classes)
    return network


def _factory(source: str) -> Callable[[], Any]:
    """Import what is named; of the user's own folder too, as `python -m` does."""
    where, _, name = source.rpartition(":") if ":" in source else (source, "", DEFAULT_FACTORY)
    try:
        module = _file(Path(where)) if where.endswith(".py") else _module(where)
        factory: Callable[[], Any] = getattr(module, name)
    except (Exception, SystemExit) as error:
        raise BadInput(f"--network {source} cannot be imported: {type(error).__name__}: {error}") from error
    return factory


def _module(name: str) -> Any:
    with _importable(Path.cwd()):
        return importlib.import_module(name)


def _file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with _importable(path.resolve().parent, Path.cwd()):  # what lies beside it, as of a script
        spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _importable(*folders: Path) -> Iterator[None]:
    """Let modules of the user's folders be imported while this lasts."""
    before = list(sys.path)
    sys.path[:0] = map(str, folders)
    try:
        yield
    finally:
        sys.path[:] = before


@torch.no_grad()
def _check_answers(source: str, network: nn.Module, classes: int) -> None:
    network.eval()
    try:
        answer = network(torch.zeros(EXAMPLE, 1, 28, 28))
    except Exception as error:
        raise BadInput(f"{source} does not take images float32 (n, 1, 28, 28): {error}") from error
    finally:
        network.train()
    found = f"{answer.dtype} {tuple(answer.shape)}" if isinstance(answer, Tensor) else type(answer).__name__
    if not isinstance(answer, Tensor) or answer.shape != (EXAMPLE, classes) or answer.dtype != torch.float32:
        raise BadInput(f"{source} answers {EXAMPLE} images with {found}, not float32 ({EXAMPLE}, {classes})")


def train_own(network: nn.Module, record: Record, dataset: data.Dataset, on_event: OnEvent, stop: Stop) -> OwnTrained:
    """Train a network of the user's own from its first epoch to its last, by the protocol and the engine `eager`.

    Args:
        network: from `build_network`.
        record: a new one, for its configuration.
        dataset: the data that it names.
        on_event: is called as training goes on.
        stop: is asked after every step.

    Raises:
        Interrupted: `stop` asked for it; nothing is saved.
        TrainingDiverged: the loss is no longer finite.
    """
    config = record.config
    torch.set_num_threads(config.threads)
    torch.set_float32_matmul_precision("highest")
    parts = _session.on_device(dataset, config)
    torch.manual_seed(derived_seed(config.seed, 1, "dropout"))
    engine = eager.create(Wrapped(network.to(config.device)), *parts.train, config)
    on_event(TrainingStarted(record))
    while len(record.epochs) < config.epochs:
        advanced = partial(_advanced, on_event, len(record.epochs) + 1)
        reached = _session.steps(engine, record, _session.masks_of(record, parts), advanced, stop)
        if (signal_number := stop()) and reached.train.images < record.dataset.train_images:
            raise Interrupted(
                "stopped; training a network of your own cannot be resumed: nothing is saved", signal_number
            )
        record = _session.evaluated(engine, record, parts, reached)
        on_event(EpochDone(record))
    final = _session.measured(engine, parts)
    on_event(TrainingFinished(record))
    return OwnTrained(network.cpu().eval(), record.epochs, final)


class GraphRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is written as a graph, to `path`: a network from `source`, seen from `folder`, with `weights` in a file."""

    source: str
    folder: str
    classes: int
    weights: str
    path: str


class Written(msgspec.Struct, frozen=True):
    """Says that it is."""


def write_graph(wanted: GraphRequest) -> Written:
    """Export a network to ONNX: called in a process of its own."""
    os.chdir(wanted.folder)
    network = build_network(wanted.source, wanted.classes, 0)
    arrays = store.to_arrays(Path(wanted.weights).read_bytes(), Path(wanted.weights))
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
    program = torch.onnx.export(
        network.eval(),
        (torch.zeros(EXAMPLE, 1, 28, 28),),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        input_names=["image"],
        output_names=["logits"],
        external_data=False,
        verbose=False,
    )
    assert program is not None
    Path(wanted.path).write_bytes(program.model_proto.SerializeToString(deterministic=True))
    return Written()


def _advanced(on_event: OnEvent, epoch: int, images: int) -> None:
    on_event(ImagesTrained(epoch, images))
