"""Train a small network on MNIST, export it, and show that every runtime gives the same answers.

    import mnist_bench as mb

    run = mb.train("digits")
    mb.export(run, "onnx")
    mb.verify(run, runtimes="onnxruntime")

docs/python.md describes Python's interface. It is imported when one of its names is first used.
"""

import sys

TYPE_CHECKING = False  # importing `typing` takes milliseconds
if TYPE_CHECKING:
    from types import ModuleType as _Module

    from mnist_bench.api import Benchmark as Benchmark
    from mnist_bench.api import Data as Data
    from mnist_bench.api import Exports as Exports
    from mnist_bench.api import MnistBenchError as MnistBenchError
    from mnist_bench.api import Parity as Parity
    from mnist_bench.api import Report as Report
    from mnist_bench.api import Run as Run
    from mnist_bench.api import View as View
    from mnist_bench.api import bench as bench
    from mnist_bench.api import export as export
    from mnist_bench.api import open_data as open_data
    from mnist_bench.api import open_run as open_run
    from mnist_bench.api import report as report
    from mnist_bench.api import train as train
    from mnist_bench.api import verify as verify

__version__ = "0.1.0"

_TYPES = ("Benchmark", "Data", "Exports", "MnistBenchError", "Parity", "Report", "Run", "View")
_FUNCTIONS = ("bench", "export", "open_data", "open_run", "report", "train", "verify")
__all__ = [  # noqa: PLE0604 names that are imported when they are first used
    *_TYPES,
    *_FUNCTIONS,
]
_ROOMS = ("bench", "report")
"""Functions that are called as a package of ours is: the package can be called in their place."""

if not TYPE_CHECKING:
    _Module = type(sys)


class _Room(_Module):
    """A package that can be called too, as the function of its name."""

    def __call__(self, *args: object, **options: object) -> object:
        return self._function(*args, **options)

    @property
    def __signature__(self) -> object:
        import inspect

        return inspect.signature(self._function)

    @property
    def _function(self):  # type: ignore[no-untyped-def]
        from mnist_bench import api

        return getattr(api, self.__name__.rpartition(".")[2])


class _Package(_Module):
    """This package: a package within it that can be called becomes so when it is imported, which sets it here."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in _ROOMS and type(value) is _Module:
            value.__class__ = _Room
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name in _ROOMS:
            return import_module(f"{__name__}.{name}")
        if name in (*_TYPES, *_FUNCTIONS):
            return getattr(import_module(f"{__name__}.api"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *_TYPES, *_FUNCTIONS})
