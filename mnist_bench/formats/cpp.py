"""C++: a CMake project that opens the run's ONNX file, as the start of a deployment."""

from pathlib import Path
from typing import TYPE_CHECKING

from mnist_bench import __version__
from mnist_bench.core import cpp_project
from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.formats import onnx
from mnist_bench.formats._messages import Facts

if TYPE_CHECKING:
    from mnist_bench.formats._request import Request

FILE_NAME = "cpp-project"
PRECISIONS: tuple[Precision, ...] = ("fp32",)
"""Its program opens the run's other ONNX files too: they need no project of their own."""


def why_unavailable() -> Skipped | None:
    """It is written without a compiler: never."""
    return None


def export(request: "Request", path: Path) -> Facts:
    """Write the project, with the run's ONNX file in it.

    Without the package of AOTInductor, which is for processors like this one: the project's README says how to use it.
    """
    path.mkdir()
    for name, content in cpp_project.files().items():
        (path / name).write_bytes(content)
    facts = onnx.export(request, path / onnx.FILE_NAME)
    return Facts(version=f"C++17, {facts.version}", exporter="mnist-bench", exporter_version=__version__)
