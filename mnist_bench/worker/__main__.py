"""Start a worker on stdin and stdout."""

import os
import sys

from mnist_bench.core import protocol
from mnist_bench.core.messages import taken_stdout
from mnist_bench.worker._serve import serve

BAD_INPUT = 2


def main(only: str | None = None) -> int:
    """Serve, with one runtime or with all; whatever libraries print goes to stderr, since stdout is for messages."""
    outgoing = taken_stdout()
    try:
        serve(only, sys.stdin.buffer, outgoing)
    except protocol.ProtocolError as error:
        sys.stderr.write(f"mnist-bench: {error}\n")
        return BAD_INPUT
    except BrokenPipeError:  # nobody listens any more
        return 0
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Engines that are torn down by the interpreter may crash when all is done; nothing is left to be torn down for.
    os._exit(status)
