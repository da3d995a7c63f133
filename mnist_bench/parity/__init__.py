"""Does a runtime give the reference's answers: the comparison, the ladder, and the certificate."""

from mnist_bench.parity._certificate import Bounds, certify
from mnist_bench.parity._compare import RUNGS, Inputs, compare
from mnist_bench.parity._foreign import verify_file
from mnist_bench.parity._inputs import build_inputs
from mnist_bench.parity._reference import Weights
from mnist_bench.parity._verify import Answer, Plan, Target, Targets, find_targets, result, verify, weights_of

__all__ = [
    "RUNGS",
    "Answer",
    "Bounds",
    "Inputs",
    "Plan",
    "Target",
    "Targets",
    "Weights",
    "build_inputs",
    "certify",
    "compare",
    "find_targets",
    "result",
    "verify",
    "verify_file",
    "weights_of",
]
