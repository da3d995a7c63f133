"""The standard output of a process that answers with messages."""

import os
from typing import IO


def taken_stdout() -> IO[bytes]:
    """Return what was stdout, for messages; what libraries print goes to stderr from now on."""
    taken = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return taken
