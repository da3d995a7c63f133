"""Processes of which nothing is left: each in a group of its own, tied to this one, with a limit on its memory."""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

TETHER = Path(__file__).with_name("tether.py")
KEPT_BYTES, CHUNK = 64 * 1024, 4096  # the last words, not a log of gigabytes


def start(
    command: Sequence[str],
    *,
    memory_limit_bytes: int | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a program, with pipes to its stdin, stdout and stderr.

    Args:
        command: the program and its arguments; no shell reads them.
        memory_limit_bytes: how much memory it may allocate, where the system can limit that.
        folder: where it runs; here, unless told.
        environment: its variables; ours, unless told.

    Raises:
        OSError: this Python cannot be started; a program that cannot be ends by itself, and says so on stderr.
    """
    tether = [sys.executable, "-I", "-S", str(TETHER), str(memory_limit_bytes or 0)]
    return subprocess.Popen(  # noqa: S603 what this is for
        [*tether, *command],
        cwd=folder,
        env=dict(environment if environment is not None else os.environ),
        start_new_session=True,  # a group of its own, so that its own children can be killed with it
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process that `start` started, and all that it has started."""
    if os.name != "posix":  # elsewhere there are no process groups of this kind
        process.kill()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()


def inherited(*, own_path: bool = True) -> dict[str, str]:
    """Return our environment variables for another process.

    Args:
        own_path: keep PYTHONPATH, with absolute folders, since the process may run in another folder than this one;
            drop it for another installation, which has its own modules.
    """
    kept = dict(os.environ)
    if path := kept.pop("PYTHONPATH", ""):
        folders = [os.path.abspath(folder) for folder in path.split(os.pathsep) if folder]  # noqa: PTH100 not resolved
        if own_path:
            kept["PYTHONPATH"] = os.pathsep.join(folders)
    return kept


def epitaph(status: int, err: str) -> str:
    """Say how a process ended, and its last words."""
    last = err.strip().splitlines()[-1] if err.strip() else "without a word"
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    return f"its process {how}: {last}"


class LastWords:
    """Reads what a process says on stderr, so that it never has to wait for us, and keeps the end of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._kept: deque[bytes] = deque(maxlen=KEPT_BYTES // CHUNK)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while chunk := self._stream.read1(CHUNK):  # type: ignore[attr-defined]
            self._kept.append(chunk)

    def text(self, wait_s: float = 1.0) -> str:
        """Return what was kept, once the process has ended or after a while."""
        self._thread.join(wait_s)
        return b"".join(self._kept).decode("utf-8", "replace")
