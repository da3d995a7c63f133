"""scikit-learn's `MLPClassifier`, read by skops, which runs nothing; its logits are what its softmax is given."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from mnist_bench.core.errors import ModelRefused
from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes._contract import Effective, Images, Logits, Model, Session, Spec, as_stored, extra

FORMAT, DEVICES, PRECISIONS = "scikit-learn", ("cpu",), as_stored("fp32")
EXTRA = ("skops", "skops", (0, 13))
COMPILED, LIBRARY = False, "scikit-learn"
WANTS = ("scikit-learn", "skops")
TRUSTED = (
    "sklearn.neural_network._multilayer_perceptron.MLPClassifier",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",  # what a fitted classifier holds besides
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
)


def why_unavailable() -> Skipped | None:
    """See `Runtime`."""
    return extra("scikit-learn", *EXTRA)


def why_not_on(_device: str) -> Skipped | None:
    """See `Runtime`."""
    return None


def version() -> str:
    """Return scikit-learn's version."""
    import sklearn

    return str(sklearn.__version__)


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Read a classifier, and let its last layer be what it is before the softmax."""
    import skops.io
    from threadpoolctl import threadpool_limits

    if unknown := sorted(set(skops.io.get_untrusted_types(data=model.content)) - set(TRUSTED)):
        raise ModelRefused(f"it holds {', '.join(unknown)}, which no such classifier does")
    classifier = skops.io.loads(model.content, trusted=list(TRUSTED))
    classifier.out_activation_ = "identity"

    def run(images: Images) -> Logits:
        # Private: `predict_proba` is this with a softmax behind, and checks besides.
        logits: Logits = classifier._forward_pass_fast(images.reshape(len(images), -1), check_input=False)
        return logits

    with threadpool_limits(spec.threads):  # of the BLAS that NumPy multiplies with
        yield Session(run, lambda: _effective(classifier))


def _effective(classifier: Any) -> Effective:
    """Look in what its products are: NumPy computes in the precision of its operands."""
    kinds = {weight.dtype for weight in (*classifier.coefs_, *classifier.intercepts_)}
    return Effective("numpy", "fp32" if kinds == {np.dtype(np.float32)} else ", ".join(sorted(map(str, kinds))))
