"""Training: what an epoch is, how it is saved and resumed, and the engines that execute its steps."""

from mnist_bench.training._choice import default_engine, engines_for, usable_engine
from mnist_bench.training._rehearsal import Rehearsal
from mnist_bench.training._session import Observer, new_record, train

__all__ = ["Observer", "Rehearsal", "default_engine", "engines_for", "new_record", "train", "usable_engine"]
