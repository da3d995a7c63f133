"""Processes of which nothing is left: each in a group of its own, tied to this one, with a limit on its memory."""

import contextlib
import errno
import io
import os
import select
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

from mnist_bench.core import text
from mnist_bench.core.errors import EnvironmentProblem

TETHER = Path(__file__).with_name("tether.py")
PIPE_BYTES = 1 << 20  # as much as Linux lets any user have; 64 KiB unless told
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


def run(
    command: Sequence[str], *, environment: Mapping[str, str], time_limit_s: float, folder: Path | None = None
) -> str:
    """Run a program to its end, and leave nothing of it; return what it printed.

    Raises:
        EnvironmentProblem: it failed, with its last words, or it took longer than it may.
    """
    with start(command, folder=folder, environment=environment) as started:
        try:
            out, err = started.communicate(timeout=time_limit_s)
        except subprocess.TimeoutExpired as error:
            raise EnvironmentProblem(f"{command[0]} took longer than {time_limit_s:g} s and was stopped") from error
        finally:
            kill_group(started)
    if started.returncode:
        why = text.reason(epitaph(started.returncode, _cause(err.decode("utf-8", "replace"))))
        raise EnvironmentProblem(f"{Path(command[0]).name} failed: {why}")
    return out.decode("utf-8", "replace")


def _cause(said: str) -> str:
    """Return the line that tells the cause, where one does: compilers draw below it, and count errors at the end."""
    lines = [line for line in said.splitlines() if not line.startswith("collect2:")]
    return next((line for line in lines if "error:" in line), "\n".join(lines))


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process that `start` started, and all that it has started, as far as they can still be found."""
    below = descendants(process.pid)  # some may have left the group
    if os.name == "posix":  # elsewhere there are no process groups of this kind
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    kill_all(below)


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """Kill processes that may have ended, whose numbers may be others' by now: psutil tells them apart."""
    for one in processes:
        with contextlib.suppress(psutil.Error):
            one.kill()


def descendants(pid: int) -> list[psutil.Process]:
    """Return the processes below one; orphans among them too, while it lives (see the tether)."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


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
    return f"its process {_how(status)}: {last}"


def _how(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal has no name
        return f"was killed by signal {-status}"


class Line:
    """Our ends of a process's stdin and stdout, at which nobody waits for ever.

    A process that is killed may leave others behind that hold its ends open: then no read ends and no write fails by
    itself. `cut` makes both do so.
    """

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin
        assert process.stdout
        self._woken, self._wake = os.pipe()
        self._streams = (process.stdin, process.stdout)
        if os.name == "posix":
            for stream in self._streams:
                _widen(stream.fileno())
            os.set_blocking(process.stdin.fileno(), False)
            self.sends: IO[bytes] = io.BufferedWriter(_End(process.stdin.fileno(), self._woken))
            self.receives: IO[bytes] = io.BufferedReader(_End(process.stdout.fileno(), self._woken))
        else:  # pipes cannot be waited for together
            self.sends, self.receives = process.stdin, process.stdout

    def cut(self) -> None:
        """Let what waits at either end fail, now and later; from any thread."""
        with contextlib.suppress(OSError):
            os.write(self._wake, b".")

    def close_sending(self) -> None:
        """Tell the process that nothing more comes."""
        with contextlib.suppress(OSError):
            self.sends.flush()
        with contextlib.suppress(OSError):
            self._streams[0].close()

    def close(self) -> None:
        """Let go of both ends."""
        self.cut()
        for stream in (self.sends, self.receives, *self._streams):
            with contextlib.suppress(OSError, ValueError):
                stream.close()
        for descriptor in (self._wake, self._woken):
            os.close(descriptor)


def _widen(descriptor: int) -> None:
    """Let a pipe hold more, where the system can: all images pass through it, and take turns with their reader."""
    import fcntl

    with contextlib.suppress(AttributeError, OSError):  # of another system; more than this user's share
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


class _End(io.RawIOBase):
    """One end of a pipe: reads until something comes, or writes until there is room, or until it is woken."""

    def __init__(self, descriptor: int, woken: int) -> None:
        self._descriptor, self._woken = descriptor, woken

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return os.readv(self._descriptor, [buffer]) if self._ready(select.POLLIN) else 0

    def write(self, content: Any) -> int:
        if not self._ready(select.POLLOUT):
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        return os.write(self._descriptor, content)

    def _ready(self, event: int) -> bool:
        """Wait; return False where it was woken."""
        poll = select.poll()
        poll.register(self._descriptor, event)
        poll.register(self._woken, select.POLLIN)
        return self._woken not in {descriptor for descriptor, _ in poll.poll()}


class LastWords:
    """Reads what a process says on stderr, so that it never has to wait for us, and keeps the end of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._kept: deque[bytes] = deque(maxlen=KEPT_BYTES // CHUNK)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._stream:  # closed here: whoever else closed it would wait for this read
            while chunk := self._stream.read1(CHUNK):  # type: ignore[attr-defined]
                self._kept.append(chunk)

    def text(self, wait_s: float = 1.0) -> str:
        """Return what was kept, once the process has ended or after a while."""
        self._thread.join(wait_s)
        return b"".join(self._kept).decode("utf-8", "replace")
