"""What libraries say of themselves, and nobody can act on: kept out of what a process that fails is remembered by."""

import contextlib
import logging
from collections.abc import Iterator

NO_CUDA = "torch.utils.cpp_extension", "No CUDA runtime is found"
"""Said by torch's compilers where CUDA is installed and there is no GPU, although they compile for the processor."""

ENUM = "torch.utils._pytree", "%s is an Enum subclass"
"""Said by torch of torchao, which ExecuTorch imports."""


@contextlib.contextmanager
def without(logger: str, beginning: str) -> Iterator[None]:
    """Drop the messages of one logger that begin so; all others pass, and those that come later too.

    Args:
        logger: the name of the logger that says it, not of one above it.
        beginning: how the message begins before its arguments are put in.
    """

    def passes(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(beginning)

    named = logging.getLogger(logger)
    named.addFilter(passes)
    try:
        yield
    finally:
        named.removeFilter(passes)
