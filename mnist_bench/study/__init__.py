"""The same training over many seeds: who trains which seed where, and what the results say."""

from mnist_bench.study.crew import Crew, joined
from mnist_bench.study.session import WorkerOptions, extended, help_out, new_study, run

__all__ = [
    "Crew",
    "WorkerOptions",
    "extended",
    "help_out",
    "joined",
    "new_study",
    "run",
]
