"""`python -m mnist_bench`, and the command `mnist-bench`."""

# What is imported here is in the interpreter when it starts: until the handler is set a Ctrl-C prints a traceback,
# and `signal` and `typing` take milliseconds to import.
import _signal  # type: ignore[import-not-found]  # the module in C behind `signal`
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def stopped(number: int, _frame: object) -> "NoReturn":
    """End at once: nothing has begun, and an exception out of an import would be anything."""
    os.write(2, b"mnist-bench: stopped\n")
    os._exit(128 + number)


def main() -> "NoReturn":
    """Run the command line and exit; Ctrl-C while it is imported ends as it does later."""
    if _signal.getsignal(_signal.SIGINT) != _signal.SIG_IGN:  # as of what a script starts in the background
        _signal.signal(_signal.SIGINT, stopped)
    from mnist_bench.cli import _main

    _main.main()


if __name__ == "__main__":
    main()
