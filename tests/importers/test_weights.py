"""Weights alone: safetensors, and what torch.save wrote."""

import io
import os
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import save

from mnist_bench.core.errors import BadInput, ModelRefused
from mnist_bench.core.signature import OURS
from mnist_bench.importers import Found
from tests.importers import made


def saved(state: Any, **given: Any) -> bytes:
    written = io.BytesIO()
    torch.save(state, written, **given)
    return written.getvalue()


def tensors(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array).to(dtype) for name, array in made.arrays().items()}


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = torch.nn.Linear(784, 10)


def check(found: Found, folder: Path, rounding: float = 0) -> None:
    assert (found.specified, found.activation, found.graph_file, found.classes) == (True, None, None, 10)
    assert (found.signature, found.ending) == (OURS, "logits")
    for name, array in made.weights_of(found, folder).items():
        np.testing.assert_allclose(array, made.arrays()[name], rtol=rounding, atol=rounding)
        assert array.dtype == np.float32


SAFETENSORS: dict[str, tuple[dict[str, Any], str, float, str]] = {
    "our names": (made.arrays(), "fp32", 0, ""),
    "other names": (
        {f"module.net.{place}": array for place, array in enumerate(made.arrays().values())},
        "fp32",
        0,
        "",
    ),
    "kernels": (
        {name: np.ascontiguousarray(array.T) for name, array in made.arrays().items()},
        "fp32",
        0,
        "transposed",
    ),
    "float16": (made.arrays(np.float16), "fp16", 1e-2, "float16, and were converted"),
    "bfloat16": (made.arrays(ml_dtypes.bfloat16), "bf16", 5e-2, "bfloat16, and were converted"),
    "float64": (made.arrays(np.float64), "fp64", 1e-6, "float64, and were converted"),
    "an optimizer": (
        made.arrays() | {"optimizer.step": np.ones(3, np.float32)},
        "fp32",
        0,
        "state were left out",
    ),
}


@pytest.mark.parametrize("name", SAFETENSORS)
def test_the_specified_weights_are_found_in_safetensors(name: str, tmp_path: Path) -> None:
    arrays, precision, rounding, note = SAFETENSORS[name]
    found = made.read(save(arrays), tmp_path)
    check(found, tmp_path, rounding)
    assert (found.kind, found.precision) == ("safetensors", precision)
    assert note in "; ".join(found.notes)
    assert bool(note) is bool(found.notes)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "others": ({"w": np.ones((3, 4), np.float32)}, r"not those of the network 784-512-256-10: w float32 \(3, 4\)"),
    "some": ({name: made.arrays()[name] for name in ("fc1.weight", "fc1.bias")}, "not those of the network"),
    "more": (made.arrays() | {"norm.running_mean": np.ones(512, np.float32)}, r"running_mean float32 \(512,\)"),
    "others still": (made.arrays() | {"scale": np.ones(1, np.float32)}, r"scale float32 \(1,\)"),
    "none": ({}, "holds weights alone.*nothing"),
    "integers": ({"w": np.ones((3, 4), np.int8)}, "w is I8: weights of a network are floats"),
    "no numbers": (
        made.arrays() | {"fc2.bias": np.full(256, np.inf, np.float32)},
        "fc2.bias holds numbers that are",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_weights_are_refused(name: str, tmp_path: Path) -> None:
    arrays, said = REFUSED[name]
    with pytest.raises(ModelRefused, match=said):
        made.read(save(arrays), tmp_path)


def test_damaged_safetensors_are_refused(tmp_path: Path) -> None:
    content = save({"w": np.ones((3, 4), np.float32)}).replace(b"[3,4]", b"[3,5]")
    with pytest.raises(ModelRefused, match="damaged safetensors"):
        made.read(content, tmp_path)


STATES: dict[str, tuple[Any, str]] = {
    "a state_dict": (tensors(), ""),
    "of a compiled one": ({f"_orig_mod.module.{name}": one for name, one in tensors().items()}, ""),
    "in half": (tensors(torch.float16), "float16"),
    "in bfloat16": (tensors(torch.bfloat16), "bfloat16"),
    "transposed": ({name: one.t() for name, one in tensors().items()}, "transposed"),
    "a checkpoint": (
        {"epoch": 3, "model": tensors(), "optimizer": {"state": {}}},
        "the weights are those in 'model'; epoch, optimizer left out",
    ),
    "a checkpoint with a loss": (
        {"epoch": 3, "model_state_dict": tensors(), "loss": torch.tensor(0.3), "optimizer_state_dict": {"state": {}}},
        "the weights are those in 'model_state_dict'; epoch, loss, optimizer_state_dict left out",
    ),
    "with numbers": (tensors() | {"epoch": 3}, "epoch left out"),
}


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("new", [True, False], ids=["an archive", "as before archives"])
def test_the_specified_weights_are_found_in_a_state_dict(name: str, new: bool, tmp_path: Path) -> None:
    state, note = STATES[name]
    found = made.read(saved(state, _use_new_zipfile_serialization=new), tmp_path)
    check(found, tmp_path, 5e-2 if "in " in name else 0)
    assert found.kind == "state-dict"
    assert note in "; ".join(found.notes)
    assert bool(note) is bool(found.notes)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (Net(), r"holds objects of .*Net, a whole model perhaps.*torch.save\(model.state_dict"),
        (Net().state_dict(), r"fc1.weight float32 \(10, 784\)"),
        (torch.ones(3), "holds one Tensor, and no state_dict"),
        ({"a": 1}, "holds no tensors by names, but a"),
        ([1, 2], "holds one list"),
    ],
    ids=["a module", "another network", "a tensor", "numbers", "a list"],
)
def test_what_holds_no_such_weights_is_refused(state: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=said):
        made.read(saved(state), tmp_path)


def test_nothing_in_a_state_dict_is_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "touched",))

    with pytest.raises(ModelRefused, match=r"holds objects of .*getattr"):
        made.read(saved({"a": Hostile()}), tmp_path)
    assert not (tmp_path / "touched").exists()


def test_what_pytorch_never_calls_is_named(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return (os.system, (f"touch {tmp_path / 'touched'}",))

    with pytest.raises(ModelRefused, match=r"^it calls \w+\.system when it is loaded, so it was not"):
        made.read(saved({"a": Hostile()}), tmp_path)
    assert not (tmp_path / "touched").exists()


def test_weights_have_no_outputs_to_choose_from(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="leave 'logits' out"):
        made.read(save(made.arrays()), tmp_path, "logits")


def test_of_two_sets_of_weights_it_is_said_which_was_taken_and_how_the_other_is(tmp_path: Path) -> None:
    weights = {name: torch.from_numpy(array) for name, array in made.arrays().items()}
    average = {name: 0.5 * tensor for name, tensor in weights.items()}
    found = made.read(saved({"epoch": 3, "model": weights, "ema": average, "optimizer": {"state": {}}}), tmp_path)
    check(found, tmp_path, 0)
    said = "; ".join(found.notes)
    assert "the weights are those in 'model'" in said
    assert "other weights of the same shapes in ema: to take those, torch.save(torch.load(" in said
    assert "epoch, optimizer left out: no weights" in said
