"""Does a runtime give the reference's answers: the comparison, the ladder, and the certificate."""

from mnist_bench.parity._answers import reference_answers
from mnist_bench.parity._asking import Answer, Plan, configuration, memory_limit
from mnist_bench.parity._assuming import Assumption
from mnist_bench.parity._certificate import Bounds, certify
from mnist_bench.parity._compare import Inputs, compare
from mnist_bench.parity._fleet import BATCH_SIZES, THREADS, usable, verify_fleet
from mnist_bench.parity._foreign import verify_file
from mnist_bench.parity._inputs import build_inputs
from mnist_bench.parity._network import Reference, bounds_of, graph_of, logits_of, reference_of, weights_of
from mnist_bench.parity._predicting import Predictions, Said, predict
from mnist_bench.parity._reference import Weights
from mnist_bench.parity._targets import GRAPH_REMEDY, Target, Targets, Wanted, absence, find_targets
from mnist_bench.parity._verify import result, verify

__all__ = [
    "BATCH_SIZES",
    "GRAPH_REMEDY",
    "THREADS",
    "Answer",
    "Assumption",
    "Bounds",
    "Inputs",
    "Plan",
    "Predictions",
    "Reference",
    "Said",
    "Target",
    "Targets",
    "Wanted",
    "Weights",
    "absence",
    "bounds_of",
    "build_inputs",
    "certify",
    "compare",
    "configuration",
    "find_targets",
    "graph_of",
    "logits_of",
    "memory_limit",
    "predict",
    "reference_answers",
    "reference_of",
    "result",
    "usable",
    "verify",
    "verify_file",
    "verify_fleet",
    "weights_of",
]
