"""scikit-learn's `MLPClassifier`, saved by skops, which runs nothing when it is read."""

from typing import Any

import numpy as np
from msgspec.structs import replace

from mnist_bench.core import text
from mnist_bench.core.errors import EnvironmentProblem, ModelRefused
from mnist_bench.core.signature import OURS
from mnist_bench.importers import _network
from mnist_bench.importers._contract import Found, Given, Request, refuse_output
from mnist_bench.importers._network import Dense, Function

WHAT, PROGRAM = "a scikit-learn model of skops", False
SCHEMA = "schema.json"
FUNCTIONS: dict[str, Function] = {"relu": "relu", "logistic": "sigmoid", "tanh": "tanh", "identity": ""}
CLASSIFIER = "MLPClassifier"
REMEDY = (
    f"an {CLASSIFIER} alone is read: save that (skops.io.dump(pipeline[-1], …), if what stands before it scales pixels "
    f"at most), or convert all of it to ONNX (skl2onnx)"
)
PRECISIONS = {"float32": "fp32", "float64": "fp64"}


def recognises(given: Given) -> bool:
    """See `Importer`."""
    return SCHEMA in given.entries


def read(request: Request) -> Found:
    """Read a classifier, whatever its hidden layers are.

    Raises:
        EnvironmentProblem: skops is not installed.
        ModelRefused: it is no classifier of images.
    """
    refuse_output(request, "a classifier")
    classifier = _loaded(request.content)
    layers = _layers(classifier)
    kinds = {array.dtype.name for array in (*classifier.coefs_, *classifier.intercepts_)}
    found = Found(
        kind="scikit-learn",
        specified=False,
        signature=OURS,
        precision=PRECISIONS.get(kinds.pop(), "unknown") if len(kinds) == 1 else "unknown",
        producer=text.reason(f"scikit-learn, {_version(request.content)}"),
        notes=("the softmax of predict_proba is left out: answers are what it is given",),
    )
    if found.precision == "fp64":
        found = replace(found, notes=(*found.notes, "its weights are float64, and were converted to float32"))
    return _network.found_dense(request, found, layers)


def _loaded(content: bytes) -> Any:
    """Read a classifier; refuse whatever holds types that none has."""
    from mnist_bench.runtimes import scikit_learn as runtime

    if missing := runtime.why_unavailable():
        raise EnvironmentProblem(f"{missing.target} cannot be read here: {missing.reason}; {missing.remedy}")
    import skops.io

    unknown = sorted(set(skops.io.get_untrusted_types(data=content)) - set(runtime.TRUSTED))
    if unknown:
        raise ModelRefused(f"it holds {text.reason(', '.join(unknown))}: {REMEDY}")
    classifier = skops.io.loads(content, trusted=list(runtime.TRUSTED))
    if type(classifier).__name__ != CLASSIFIER:
        raise ModelRefused(f"it is a {text.line(type(classifier).__name__)}: {REMEDY}")
    if not hasattr(classifier, "coefs_"):
        raise ModelRefused(f"its {CLASSIFIER} was never fitted: fit it before it is saved")
    return classifier


def _layers(classifier: Any) -> list[Dense]:
    if classifier.out_activation_ != "softmax":
        raise ModelRefused(
            f"its answers are {text.line(str(classifier.out_activation_))} of {classifier.n_outputs_}, of two classes "
            f"or of several labels an image: a classifier of three classes or more is needed"
        )
    if classifier.activation not in FUNCTIONS:
        raise ModelRefused(f"its activation {text.line(str(classifier.activation))} is not supported")
    arrays = list(zip(classifier.coefs_, classifier.intercepts_, strict=True))
    if not all(isinstance(array, np.ndarray) for pair in arrays for array in pair):
        raise ModelRefused("its weights are no arrays")
    hidden = FUNCTIONS[classifier.activation]
    places = range(1, len(arrays) + 1)
    layers = [
        Dense(weight.T, bias, hidden if place < len(arrays) else "")
        for place, (weight, bias) in zip(places, arrays, strict=True)
    ]
    _network.check_chain(layers)
    return layers


def _version(content: bytes) -> str:
    """Return who wrote it: it tells the version of skops, and not that of scikit-learn."""
    import io
    import json
    import zipfile

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        schema = json.loads(archive.read(SCHEMA))
    return f"by skops {schema.get('_skops_version', '?')}"
