"""Does a runtime give the reference's answers: the comparison, the ladder, and the certificate."""

from mnist_bench.parity._answers import reference_answers
from mnist_bench.parity._asking import Answer, Plan, configuration, memory_limit
from mnist_bench.parity._certificate import Bounds, certify
from mnist_bench.parity._compare import Inputs, compare
from mnist_bench.parity._fleet import BATCH_SIZES, THREADS, usable, verify_fleet
from mnist_bench.parity._foreign import verify_file
from mnist_bench.parity._inputs import build_inputs
from mnist_bench.parity._reference import Weights
from mnist_bench.parity._targets import WEIGHTS, Target, Targets, Wanted, absence, find_targets
from mnist_bench.parity._verify import result, verify, weights_of

__all__ = [
    "BATCH_SIZES",
    "THREADS",
    "WEIGHTS",
    "Answer",
    "Bounds",
    "Inputs",
    "Plan",
    "Target",
    "Targets",
    "Wanted",
    "Weights",
    "absence",
    "build_inputs",
    "certify",
    "compare",
    "configuration",
    "find_targets",
    "memory_limit",
    "reference_answers",
    "result",
    "usable",
    "verify",
    "verify_file",
    "verify_fleet",
    "weights_of",
]
