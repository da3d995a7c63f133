"""Python's interface: what the commands do, as functions that return what a notebook shows.

The functions read and write the same run folders, under the same locks, and raise the same errors as the commands:
`MnistBenchError`s; Ctrl-C ends as KeyboardInterrupt, with what was done saved. Their names are those of `mnist_bench`,
which imports this room when one of them is first used.
"""

from mnist_bench.api._bench import Benchmark, bench
from mnist_bench.api._data import Data, open_data
from mnist_bench.api._export import Exports, export
from mnist_bench.api._report import Report, report
from mnist_bench.api._runs import Run, open_run
from mnist_bench.api._shown import View
from mnist_bench.api._train import train
from mnist_bench.api._verify import Parity, verify
from mnist_bench.core.errors import MnistBenchError

__all__ = [
    "Benchmark",
    "Data",
    "Exports",
    "MnistBenchError",
    "Parity",
    "Report",
    "Run",
    "View",
    "bench",
    "export",
    "open_data",
    "open_run",
    "report",
    "train",
    "verify",
]
