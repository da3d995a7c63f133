"""`python -m mnist_bench`, and the command `mnist-bench`."""

import os
import signal
from typing import NoReturn


def stopped(number: int, _frame: object) -> NoReturn:
    """End at once: nothing has begun, and an exception out of an import would be anything."""
    os.write(2, b"mnist-bench: stopped\n")
    os._exit(128 + number)


def main() -> NoReturn:
    """Run the command line and exit; Ctrl-C while it is imported ends as it does later."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as of what a script starts in the background
        signal.signal(signal.SIGINT, stopped)
    from mnist_bench.cli import _main

    _main.main()


if __name__ == "__main__":
    main()
