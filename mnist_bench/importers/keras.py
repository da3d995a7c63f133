"""Keras's `.keras` archives of dense layers: a description in JSON and weights in HDF5; read without Keras.

The names within `model.weights.h5` are those of Keras 3 (keras/src/saving/saving_lib.py): `layers/dense/vars/0` is the
first Dense layer's kernel (inputs, outputs), `vars/1` its bias, whatever the layer is called.
"""

import io
import json
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from msgspec.structs import replace

from mnist_bench.core import text
from mnist_bench.core.errors import EnvironmentProblem, ModelRefused
from mnist_bench.core.signature import OURS
from mnist_bench.importers import _network
from mnist_bench.importers._contract import Found, Given, Request, refuse_output
from mnist_bench.importers._network import Dense, Function

WHAT, PROGRAM = "a Keras archive", False
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
MOST_JSON, MOST_WEIGHTS = 2**24, 2**28
FUNCTIONS: dict[str, Function] = {"relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh", "linear": ""}
SOFTMAXES = ("softmax", "log_softmax")
"""The functions of a last layer that are left out: answers are logits."""
IGNORED = ("InputLayer", "Flatten", "Reshape", "Dropout")
BYTE_SCALE = 1 / 255
MOST_BYTE_SCALE = 4 * BYTE_SCALE  # pixels / 127.5 - 1 is usual too
NEARLY = 1e-6
WAY_OUT = "export the model to ONNX (model.export('model.onnx', format='onnx'), or tf2onnx)"
OLDEST_H5PY = (3, 12)


def recognises(given: Given) -> bool:
    """See `Importer`."""
    return CONFIG in given.entries and any(name.startswith("model.weights") for name in given.entries)


def read(request: Request) -> Found:
    """Read a chain of dense layers.

    Raises:
        EnvironmentProblem: h5py is not installed.
        ModelRefused: it has other layers, or they are no chain.
    """
    from mnist_bench.runtimes._contract import extra

    refuse_output(request, "a Keras archive")
    if missing := extra("keras", "h5py", "h5py", OLDEST_H5PY):
        raise EnvironmentProblem(f"{missing.target} cannot be read here: {missing.reason}; {missing.remedy}")
    with zipfile.ZipFile(io.BytesIO(request.content)) as archive:
        config, metadata = _json(archive, CONFIG), _json(archive, METADATA)
        if WEIGHTS not in archive.namelist():
            raise ModelRefused(f"it keeps its weights in other files than {WEIGHTS}: save it in one, or {WAY_OUT}")
        weights = _entry(archive, WEIGHTS, MOST_WEIGHTS)
    layers = list(_layers_of(config))
    chain = Chain()
    for layer, arrays in zip(layers, _arrays_of(layers, weights), strict=True):
        chain.add(layer, arrays)
    return _found(request, chain, str(metadata.get("keras_version", "?")))


def _found(request: Request, chain: "Chain", version: str) -> Found:
    layers = chain.finished()
    found = Found(
        kind="keras",
        specified=False,
        signature=OURS,
        precision="fp32",
        producer=text.reason(f"keras {version}"),
        notes=tuple(chain.notes),
    )
    if chain.scale is not None:
        found = replace(found, signature=replace(OURS, pixels="bytes" if chain.takes_bytes else "unit"))
    return _network.found_dense(request, found, layers, chain.scale)


def _json(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    if name not in archive.namelist():
        return {}
    try:
        found = json.loads(_entry(archive, name, MOST_JSON))
    except (ValueError, RecursionError) as error:
        raise ModelRefused(f"its {name} is not JSON: download it, or save it, again") from error
    if not isinstance(found, dict):
        raise ModelRefused(f"its {name} describes no model: save it again")
    return found


def _entry(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Read one entry; the size that an archive tells of it is no more than its word."""
    with archive.open(name) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ModelRefused(f"its {name} is larger than {most // 2**20} MiB")
    return content


class Layer:
    """A layer as a configuration describes it: its class, its name, its settings."""

    def __init__(self, described: Any) -> None:
        if not isinstance(described, dict) or not isinstance(described.get("config"), dict):
            raise ModelRefused(f"its {CONFIG} describes a layer that is none: save it again")
        self.kind = str(described.get("class_name"))
        self.settings: Mapping[str, Any] = described["config"]
        self.name = str(self.settings.get("name", "?"))
        self.reads = json.dumps(described.get("inbound_nodes") or [])

    @property
    def said(self) -> str:
        """What it is called on the screen."""
        return f"layer {text.line(self.kind)} {text.line(self.name)!r}"

    @property
    def function(self) -> str:
        """Its activation's name."""
        given = self.settings.get("activation") or "linear"
        given = given.get("config", given) if isinstance(given, dict) else given
        return str(given.get("name") if isinstance(given, dict) else given)


def _layers_of(config: Mapping[str, Any]) -> Iterator[Layer]:
    """Yield a model's layers in order; refuse what is no chain of them."""
    kind, inner = config.get("class_name"), config.get("config")
    described = inner.get("layers") if isinstance(inner, dict) else None
    if kind not in ("Sequential", "Functional", "Model") or not isinstance(described, list):
        raise ModelRefused(f"it is a {text.line(str(kind))}, and only Sequential and Functional are read: {WAY_OUT}")
    before = None
    for one in described:
        layer = Layer(one)
        # In a functional model each layer names those that it reads: here the one before, and no other.
        if kind != "Sequential" and before is not None and layer.reads.count('"keras_history"') != 1:
            raise ModelRefused(f"{layer.said} reads several others: only chains are read: {WAY_OUT}")
        if kind != "Sequential" and before is not None and json.dumps(before.name) not in layer.reads:
            raise ModelRefused(f"{layer.said} does not read the one before it: only chains are read: {WAY_OUT}")
        yield layer
        before = layer


def _arrays_of(layers: list[Layer], weights: bytes) -> Iterator[list[Any]]:
    """Yield the arrays of each layer; only dense ones have some."""
    import h5py

    try:
        with h5py.File(io.BytesIO(weights), "r") as file:
            count = 0
            for layer in layers:
                is_dense = layer.kind == "Dense"
                yield _dense_arrays(file, layer, f"dense_{count}" if count else "dense") if is_dense else []
                count += is_dense
    except ModelRefused:
        raise
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise ModelRefused(f"its {WEIGHTS} cannot be read: {text.reason(str(error))}") from error


def _dense_arrays(file: Any, layer: Layer, place: str) -> list[Any]:
    group = _inside(file, "layers", place, "vars") or _inside(file, "layers", layer.name, "vars")
    if group is None:
        raise ModelRefused(f"its {WEIGHTS} holds no layers/{place}/vars, the weights of {layer.said}: {WAY_OUT}")
    arrays = [_array(group, name, layer) for name in ("0", "1") if name in group]
    if len(arrays) != 1 + bool(layer.settings.get("use_bias", True)) or len(group) != len(arrays):
        raise ModelRefused(f"{layer.said} has {len(group)} arrays: a kernel and a bias are needed")
    return arrays


def _inside(file: Any, *names: str) -> Any:
    """Return a group of a file; nothing of what is only linked: a link may lead into another file."""
    import h5py

    at = file
    for name in names:
        if not isinstance(at, h5py.Group) or not isinstance(at.get(name, getlink=True), h5py.HardLink):
            return None
        at = at[name]
    return at if isinstance(at, h5py.Group) else None


def _array(group: Any, name: str, layer: Layer) -> Any:
    """Read an array that lies in the file itself, and is no larger than it may be."""
    import h5py

    data = group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None
    if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual or data.dtype.kind != "f":
        raise ModelRefused(f"{layer.said} has weights that are not floats in its own file")
    if math.prod(data.shape) * data.dtype.itemsize > MOST_WEIGHTS:
        raise ModelRefused(f"{layer.said} has weights {data.shape}: more than {MOST_WEIGHTS // 2**20} MiB are not read")
    return np.asarray(data[()])


class Chain:
    """Dense layers as they come, with what is noted of the others."""

    def __init__(self) -> None:
        self.layers: list[Dense] = []
        self.notes: list[str] = []
        self.scale: tuple[float, float] | None = None
        self.takes_bytes = False
        self._ended: str | None = None

    def add(self, layer: Layer, arrays: list[Any]) -> None:
        """Take in a layer; raise ModelRefused for one that is not read."""
        handle: Callable[[Layer, list[Any]], None] | None = getattr(self, f"_add_{layer.kind.lower()}", None)
        if layer.kind in IGNORED:
            return
        if handle is None or not layer.kind.isalpha():
            raise ModelRefused(f"{layer.said} is not read: {WAY_OUT}")
        if self._ended:
            raise ModelRefused(f"{layer.said} stands behind a softmax: {WAY_OUT}")
        handle(layer, arrays)

    def _add_dense(self, layer: Layer, arrays: list[Any]) -> None:
        kernel = arrays[0]
        bias = arrays[1] if len(arrays) > 1 else np.zeros(kernel.shape[-1:], kernel.dtype)
        self.layers.append(Dense(kernel.T, bias))
        self._add_activation(layer, arrays)

    def _add_activation(self, layer: Layer, _arrays: list[Any]) -> None:
        function = layer.function
        if not self.layers or (self.layers[-1].function and function != "linear"):
            raise ModelRefused(f"{layer.said} does not stand behind a dense layer: {WAY_OUT}")
        if function in SOFTMAXES:
            self._ended = function
            self.notes.append(f"the {function} of its last layer is left out: answers are what it is given")
        elif function not in FUNCTIONS:
            raise ModelRefused(f"{layer.said} has the activation {text.line(function)!r}, which is not read: {WAY_OUT}")
        elif FUNCTIONS[function]:
            self._set_function(layer, FUNCTIONS[function])

    def _add_softmax(self, layer: Layer, _arrays: list[Any]) -> None:
        if not self.layers or self.layers[-1].function:
            raise ModelRefused(f"{layer.said} does not stand behind a dense layer: {WAY_OUT}")
        self._ended = "softmax"
        self.notes.append("its last layer, a softmax, is left out: answers are what it is given")

    def _add_relu(self, layer: Layer, _arrays: list[Any]) -> None:
        usual = {"negative_slope": (0, 0.0), "threshold": (0, 0.0), "max_value": (None,)}
        if any(layer.settings.get(name, values[0]) not in values for name, values in usual.items()):
            raise ModelRefused(f"{layer.said} is another function than relu: {WAY_OUT}")
        self._set_function(layer, "relu")

    def _set_function(self, layer: Layer, function: Function) -> None:
        if not self.layers or self.layers[-1].function:
            raise ModelRefused(f"{layer.said} does not stand behind a dense layer: {WAY_OUT}")
        last = self.layers[-1]
        self.layers[-1] = Dense(last.weight, last.bias, function)

    def _add_rescaling(self, layer: Layer, _arrays: list[Any]) -> None:
        scale, offset = (layer.settings.get(name, 0.0) for name in ("scale", "offset"))
        if self.layers or self.scale or not all(isinstance(one, (int, float)) for one in (scale, offset)):
            raise ModelRefused(f"{layer.said} does not scale the pixels by one number: {WAY_OUT}")
        if not offset and abs(scale - BYTE_SCALE) <= NEARLY * BYTE_SCALE:
            self.notes.append(f"{layer.said}, by 1/255, is left out: images come in [0, 1]")
            return
        self.scale, self.takes_bytes = (float(scale), float(offset)), abs(scale) < MOST_BYTE_SCALE
        self.notes.append(f"{layer.said} is kept: pixels · {scale:g} + {offset:g}")

    def finished(self) -> list[Dense]:
        """Return the layers, from the pixels to the logits."""
        if not self.layers:
            raise ModelRefused(f"it has no dense layers: {WAY_OUT}")
        if self.layers[-1].function:
            raise ModelRefused(f"it ends in {self.layers[-1].function}, and not in logits or a softmax: {WAY_OUT}")
        _network.check_chain(self.layers)
        return self.layers
