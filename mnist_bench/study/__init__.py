"""The same training over many seeds: who trains which seed where, and what the results say."""

from mnist_bench.study.crew import Crew, joined
from mnist_bench.study.jobs import BATCHED
from mnist_bench.study.session import Hands, Progress, extended, help_out, new_study, run
from mnist_bench.study.summary import Arm, Convergence, Paired, Spread, arms, first_epoch_at, paired

__all__ = [
    "BATCHED",
    "Arm",
    "Convergence",
    "Crew",
    "Hands",
    "Paired",
    "Progress",
    "Spread",
    "arms",
    "extended",
    "first_epoch_at",
    "help_out",
    "joined",
    "new_study",
    "paired",
    "run",
]
