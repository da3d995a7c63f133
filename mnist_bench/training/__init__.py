"""Training: what an epoch is, how it is saved and resumed, and the engines that execute its steps."""

from mnist_bench.training._group import ALONE, Group, process_group
from mnist_bench.training._rehearsal import Rehearsal
from mnist_bench.training._session import Observer, new_record, train

__all__ = ["ALONE", "Group", "Observer", "Rehearsal", "new_record", "process_group", "train"]
