"""Does a runtime give the reference's answers: the comparison, the ladder, and the certificate."""

from mnist_bench.parity._certificate import Bounds, certify
from mnist_bench.parity._compare import RUNGS, Inputs, compare
from mnist_bench.parity._foreign import verify_file
from mnist_bench.parity._reference import Weights
from mnist_bench.parity._verify import Plan, verify

__all__ = ["RUNGS", "Bounds", "Inputs", "Plan", "Weights", "certify", "compare", "verify", "verify_file"]
