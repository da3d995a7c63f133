"""Training: what an epoch is, how it is saved and resumed, and the engines that execute its steps."""

from mnist_bench.training._choice import Choice, default_engine, engines_for, skips_zeros, usable_engine
from mnist_bench.training._evaluate import answered
from mnist_bench.training._group import ALONE, Group, process_group
from mnist_bench.training._many import train_many
from mnist_bench.training._own import GraphRequest, Written, build_network, train_own
from mnist_bench.training._session import Trained, dataset_info, new_record, to_arrays, train, train_in_memory
from mnist_bench.training._step_runner import StepRunner

__all__ = [
    "ALONE",
    "Choice",
    "GraphRequest",
    "Group",
    "StepRunner",
    "Trained",
    "Written",
    "answered",
    "build_network",
    "dataset_info",
    "default_engine",
    "engines_for",
    "new_record",
    "process_group",
    "skips_zeros",
    "to_arrays",
    "train",
    "train_in_memory",
    "train_many",
    "train_own",
    "usable_engine",
]
