"""scikit-learn: an `MLPClassifier` with the network's weights, saved by skops, which runs nothing when it is read."""

import io
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.formats._messages import Facts
from mnist_bench.formats._zip import EPOCH

if TYPE_CHECKING:
    from mnist_bench.formats._request import Request

FILE_NAME = "model.skops"
PRECISIONS: tuple[Precision, ...] = ("fp32",)
SCHEMA = "schema.json"
ADDRESS = re.compile(r"\b[0-9]{9,}\b")
ACTIVATIONS = {"relu": "relu", "sigmoid": "logistic"}


def why_unavailable() -> Skipped | None:
    """Return why not: it is an extra."""
    from mnist_bench.runtimes import scikit_learn

    return scikit_learn.why_unavailable()


def export(request: "Request", path: Path) -> Facts:
    """Put the weights into a classifier that was never fitted, and save it."""
    import sklearn
    import skops.io

    state = {name: value.numpy() for name, value in request.network.state_dict().items()}
    classifier = _classifier(request.record.config.activation, state)
    path.write_bytes(_impersonal(skops.io.dumps(classifier)))
    return Facts(version=f"skops {skops.__version__}", exporter="scikit-learn", exporter_version=sklearn.__version__)


def _classifier(activation: str, state: dict[str, Any]) -> Any:
    """Return what `MLPClassifier.fit` would have left, had it found these weights."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import LabelBinarizer

    weights = [np.ascontiguousarray(state[f"fc{layer}.weight"].T) for layer in (1, 2, 3)]
    classifier = MLPClassifier(tuple(map(len, weights[1:])), activation=ACTIVATIONS[activation])
    classifier.coefs_, classifier.intercepts_ = weights, [state[f"fc{layer}.bias"] for layer in (1, 2, 3)]
    inputs, classes = len(weights[0]), np.arange(weights[-1].shape[1])
    classifier.n_features_in_, classifier.n_outputs_, classifier.n_layers_ = inputs, len(classes), len(weights) + 1
    classifier.classes_, classifier.out_activation_ = classes, "softmax"
    classifier._label_binarizer = LabelBinarizer().fit(classes)
    return classifier


def _impersonal(archive: bytes) -> bytes:
    """Number objects in their order: skops calls them by where they lay in memory, which is different every time."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        contents = {name: source.read(name) for name in source.namelist()}
    schema = contents.pop(SCHEMA).decode()
    numbers = {found: str(place) for place, found in enumerate(dict.fromkeys(ADDRESS.findall(schema)), 1)}

    def numbered(text: str) -> str:
        return ADDRESS.sub(lambda found: numbers[found.group()], text)

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as target:
        for name, content in sorted((numbered(name), content) for name, content in contents.items()):
            target.writestr(zipfile.ZipInfo(name, EPOCH), content)
        target.writestr(zipfile.ZipInfo(SCHEMA, EPOCH), numbered(schema))
    return made.getvalue()
