"""Reading a file, on the inside of the child's process."""

import warnings
from pathlib import Path

from mnist_bench import importers
from mnist_bench.core import limits, text
from mnist_bench.core.errors import MnistBenchError, ModelRefused
from mnist_bench.core.reading import read_regular
from mnist_bench.importers._contract import Found, ReadRequest, Request


def serve(asked: ReadRequest) -> Found:
    """Read one file: called in a process of its own.

    Raises:
        ModelRefused: it is not what it should be; whatever else a library makes of it says so as well.
    """
    importer = importers.load(asked.kind)
    content = read_regular(Path(asked.path), limits.MODEL_BYTES)
    with warnings.catch_warnings(action="ignore"):  # libraries tell of their own futures
        try:
            return importer.read(Request(content, Path(asked.folder), asked.output, asked.classes))
        except (MnistBenchError, OSError, ImportError, MemoryError):
            raise
        except Exception as error:
            if text.is_out_of_memory(error):
                raise
            raise ModelRefused(f"it cannot be read as {importer.WHAT}: {text.reason(text.of_error(error))}") from error
