"""AOTInductor: the network compiled to machine code for this kind of processor, in a `.pt2` package."""

import os
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_bench.core import remarks
from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.core.toolchain import no_compiler
from mnist_bench.formats import torch_export
from mnist_bench.formats._messages import Facts
from mnist_bench.formats._zip import rewritten

if TYPE_CHECKING:
    from mnist_bench.formats._request import Request

FILE_NAME = "model.aoti.pt2"
PRECISIONS: tuple[Precision, ...] = ("fp32",)


def why_unavailable() -> Skipped | None:
    """Return why not: it needs a C++ compiler, and a place for what that makes."""
    return no_compiler("aotinductor")


def export(request: "Request", path: Path) -> Facts:
    """Compile and package; without the generated sources and without local paths in the machine code."""
    import torch
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    request.network.to(request.device)
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder, "package.pt2")  # the compiler insists on this suffix
        with remarks.without(*remarks.NO_CUDA):
            torch._inductor.aoti_compile_and_package(
                torch_export.program(request),
                package_path=str(package),
                inductor_configs={"cpp.dynamic_threads": True},  # else the number of threads here is compiled in
            )
        content = package.read_bytes()
    local = [sysconfig.get_path("purelib"), sysconfig.get_path("include"), cache_dir(), os.path.expanduser("~")]  # noqa: PTH111 pathlib's raises where there is no home
    path.write_bytes(
        rewritten(content, lambda name, content: None if name.endswith(".cpp") else _impersonal(content, local))
    )
    return Facts(version="aotinductor package", exporter="torch._inductor", exporter_version=str(torch.__version__))


def _impersonal(content: bytes, paths: list[str]) -> bytes:
    """Blank local paths out of compiled code: same length, so that nothing moves; they only serve error messages."""
    for path in sorted({text.encode() for text in paths if len(text) > 1}, key=len, reverse=True):
        content = content.replace(path, b"/" + b"." * (len(path) - 1))
    return content
