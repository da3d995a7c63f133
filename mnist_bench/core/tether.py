"""Starts a program that dies with its parent and has no more memory than it may: run by its path, without a package.

`python -I -S tether.py MEMORY_LIMIT_BYTES PROGRAM ARGUMENT…`; 0 is no limit. The program takes this process's place, so
that process ids, pipes and signals are its own.
"""

import os
import sys

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
NOT_FOUND = 127  # as shells say it


def die_with_parent() -> None:
    """Let this process be killed when its parent dies, however that happens, where the system can do that."""
    if sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # Orphans below this process come to it, and not to init: so they can be found, and killed with it.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def limit_memory(size_bytes: int) -> None:
    """Let this process allocate no more than so much, where the system can limit that; 0 is no limit."""
    if size_bytes and os.name == "posix":
        import resource

        # Data, not address space: torch alone maps tens of gigabytes that it never touches.
        resource.setrlimit(resource.RLIMIT_DATA, (size_bytes, size_bytes))


def main() -> None:
    """Tie this process to its parent and become the program."""
    limit, *command = sys.argv[1:]
    die_with_parent()
    limit_memory(int(limit))
    try:
        os.execvp(command[0], command)  # noqa: S606 the command that the user gave, without a shell
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
        sys.exit(NOT_FOUND)


if __name__ == "__main__":
    main()
