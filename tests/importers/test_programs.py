"""Programs of PyTorch: what they answer tells whether they are the specified network."""

import io
import itertools
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mnist_bench.core.errors import ModelRefused
from tests.importers import made


class Network(torch.nn.Module):
    """The specified network, or one of other sizes, with an ending of its own."""

    def __init__(self, activation: Any = torch.relu, ending: Any = None, sizes: tuple[int, ...] = made.SIZES) -> None:
        super().__init__()
        self.activation, self.ending = activation, ending
        self.layers = torch.nn.ModuleList(torch.nn.Linear(*pair) for pair in itertools.pairwise(sizes))
        for layer, (weight, bias) in zip(self.layers, made.weights(sizes), strict=True):
            layer.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})

    def forward(self, image: torch.Tensor) -> Any:
        values = image.flatten(1)
        for place, layer in enumerate(self.layers):
            values = layer(self.activation(values) if place else values)
        return self.ending(values) if self.ending else values


def scripted(network: torch.nn.Module, shape: tuple[int, ...] = (1, 28, 28), frozen: bool = False) -> bytes:
    written = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        traced = torch.jit.trace(network.eval(), torch.zeros(2, *shape))  # type: ignore[no-untyped-call]
        torch.jit.save(torch.jit.freeze(traced) if frozen else traced, written)
    return written.getvalue()


def exported(network: torch.nn.Module, image: torch.Tensor | None = None, fixed: bool = False) -> bytes:
    written = io.BytesIO()
    image = torch.zeros(2, 1, 28, 28) if image is None else image
    shapes = None if fixed else ({0: torch.export.Dim("n")},)
    torch.export.save(torch.export.export(network.eval(), (image,), dynamic_shapes=shapes), written)
    return written.getvalue()


def softmax(values: torch.Tensor) -> torch.Tensor:
    return values.softmax(1)


@pytest.mark.parametrize(
    ("make", "activation", "ending"),
    [
        (lambda: scripted(Network()), "relu", "logits"),
        (lambda: scripted(Network(torch.sigmoid), frozen=True), "sigmoid", "logits"),
        (lambda: scripted(Network(ending=softmax)), "relu", "softmax"),
        (lambda: exported(Network()), "relu", "logits"),
        (lambda: scripted(Network(torch.sigmoid, lambda values: values.log_softmax(1))), "sigmoid", "log-softmax"),
    ],
    ids=["TorchScript", "frozen", "with a softmax", "torch.export", "with a log_softmax"],
)
def test_the_specified_network_is_known_by_its_answers(
    make: Callable[[], bytes], activation: str, ending: str, tmp_path: Path
) -> None:
    found = made.read(make(), tmp_path)
    assert (found.specified, found.activation, found.ending, found.classes) == (True, activation, ending, 10)
    assert found.precision == "fp32"
    for name, array in made.weights_of(found, tmp_path).items():
        np.testing.assert_array_equal(array, made.arrays()[name])
    answers = made.answers(found, tmp_path, made.IMAGES)
    assert answers.shape == (3, 10)
    if ending == "logits":
        np.testing.assert_allclose(answers, made.expected(made.IMAGES, activation), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_a_program_that_was_saved_in_training_mode_says_so(rate: float, tmp_path: Path) -> None:
    """Where that changes what it answers."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(rate), torch.nn.Linear(784, 10))
    for training in (True, False):
        buffer = io.BytesIO()
        with warnings.catch_warnings(action="ignore"):
            torch.jit.save(torch.jit.script(network.train(training)), buffer)
        notes = made.read(buffer.getvalue(), tmp_path).notes
        assert any("saved in training mode" in note for note in notes) == (training and rate > 0)


def test_other_networks_come_as_a_graph(tmp_path: Path) -> None:
    found = made.read(scripted(Network(torch.tanh)), tmp_path)
    assert (found.specified, found.weights_file, found.ending) == (False, None, "logits")
    assert made.answers(found, tmp_path, made.IMAGES).shape == (3, 10)


def test_a_convnet_comes_as_a_graph(tmp_path: Path) -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 24 * 24, 10)
    )
    found = made.read(scripted(network), tmp_path)
    assert (found.specified, found.signature.shape, found.classes) == (False, (1, 28, 28), 10)
    with torch.inference_mode():
        np.testing.assert_allclose(
            made.answers(found, tmp_path, made.IMAGES), network(torch.from_numpy(made.IMAGES)), rtol=1e-3, atol=1e-4
        )


def test_shapes_are_tried_and_types_are_told(tmp_path: Path) -> None:
    flat = torch.nn.Sequential(torch.nn.Linear(784, 10))
    assert made.read(scripted(flat, (784,)), tmp_path).signature.shape == (784,)
    found = made.read(exported(flat, torch.zeros(3, 784), fixed=True), tmp_path)
    assert (found.signature.shape, found.signature.batch) == ((784,), 3)


class Two(Network):
    def forward(self, image: torch.Tensor) -> Any:
        values = super().forward(image)
        return values, values.argmax(1)


@pytest.mark.parametrize("write", [scripted, exported], ids=["TorchScript", "torch.export"])
def test_several_answers_are_refused(write: Callable[..., bytes], tmp_path: Path) -> None:
    said = r"answers a tuple of 2, float32 \(2, 10\), int64 \(2,\): return the logits alone"
    with pytest.raises(ModelRefused, match=said):
        made.read(write(Two()), tmp_path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: scripted(torch.nn.Linear(100, 10), (100,)),
            r"no images of shape \(n, 1, 28, 28\) or \(n, 784\)",
        ),
        (lambda: scripted(Network(ending=lambda values: values.sum(1))), r"answers float32 \(2,\) to 2 images"),
        (lambda: exported(torch.nn.Linear(100, 10), torch.zeros(2, 100)), r"takes float32 \(.*, 100\): images"),
    ],
    ids=["other inputs", "no classes", "other inputs of torch.export"],
)
def test_programs_of_something_else_are_refused(make: Callable[[], bytes], said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=said):
        made.read(make(), tmp_path)


def test_damaged_programs_are_refused(tmp_path: Path) -> None:
    for name in ("model/code/a.py", "model/models/model.json"):
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as archive:
            archive.writestr(name, "no")
        with pytest.raises(ModelRefused, match="PyTorch cannot load it"):
            made.read(written.getvalue(), tmp_path)
