"""Calling a function in a process of its own, with limits on its time and memory.

Python's own process pools share what the parent has imported or hang on a child that dies; here a crash, a hang or an
exhausted memory becomes one error, and nothing is left behind.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnist_bench.core.errors import BadInput, MnistBenchError

BUG = MnistBenchError.exit_code
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class ChildFailed(MnistBenchError):
    """A function failed in its process; `exit_code` is that of the error it raised there."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Calls:
    """Calls made from several threads, which can be stopped together from another one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def stop(self) -> None:
        """Kill the processes of all calls, those to come too."""
        with self._lock:
            self._stopped = True
            for process in self._processes:
                _kill_group(process)

    def add(self, process: "subprocess.Popen[str]") -> None:
        """Take in a process that has just started."""
        with self._lock:
            self._processes.add(process)
            if self._stopped:
                _kill_group(process)

    def remove(self, process: "subprocess.Popen[str]") -> None:
        """Let go of a process that has been waited for: its number may soon be another's."""
        with self._lock:
            self._processes.discard(process)


def call(
    target: str,
    argument: dict[str, Any],
    *,
    time_limit_s: float,
    memory_limit_bytes: int | None = None,
    died_exit_code: int = BUG,
    folder: Path | None = None,
    python: Sequence[str] = (),
    among: Calls | None = None,
) -> Any:
    """Call `module:function` with a JSON argument in a fresh process and return its JSON result.

    Args:
        target: the function's module and name.
        argument: what it is called with.
        time_limit_s: after so many seconds the process and its children are killed.
        memory_limit_bytes: how much memory it may allocate, where the system can limit that.
        died_exit_code: the error's exit code where the process hung or died without a word.
        folder: where it runs; here, unless told.
        python: the command that starts another installation's Python; without our PYTHONPATH, to find its own modules.
        among: the calls that this one is stopped together with.

    Raises:
        ChildFailed: the function raised an error, or the process hung, died, or could not be started.
    """
    command = [*(python or [sys.executable]), "-m", "mnist_bench.core.child", target, str(memory_limit_bytes or 0)]
    try:
        status, out, err = _run(command, json.dumps(argument), time_limit_s, folder, not python, among or Calls())
    except subprocess.TimeoutExpired as error:
        raise ChildFailed(f"it took longer than {time_limit_s:g} s and was stopped", died_exit_code) from error
    except OSError as error:
        raise ChildFailed(f"{command[0]} cannot be started: {error.strerror}", BadInput.exit_code) from error
    return _result(status, out, err, died_exit_code)


def _result(status: int, out: str, err: str, died_exit_code: int) -> Any:
    """Return what a process answered; raise what it raised, or how it died."""
    try:
        answer = json.loads(out)
    except json.JSONDecodeError as error:
        raise ChildFailed(_epitaph(status, err), died_exit_code) from error
    if "error" in answer:
        raise ChildFailed(answer["error"], answer["exit_code"])
    return answer["result"]


def _run(
    command: list[str], question: str, time_limit_s: float, folder: Path | None, own_path: bool, among: Calls
) -> tuple[int, str, str]:
    """Run a command in a process group of its own, of which nothing is left; return its status and what it printed."""
    kept = {name: value for name, value in os.environ.items() if own_path or name != "PYTHONPATH"}
    with subprocess.Popen(  # noqa: S603 our own interpreter and module
        command,
        cwd=folder,
        env=kept,
        start_new_session=True,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            among.add(process)
            out, err = process.communicate(question, timeout=time_limit_s)
        finally:
            _kill_group(process)
            among.remove(process)
    return process.returncode, out, err


def _kill_group(process: "subprocess.Popen[str]") -> None:
    if os.name != "posix":  # elsewhere there are no process groups of this kind
        process.kill()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()


def _epitaph(status: int, err: str) -> str:
    last = err.strip().splitlines()[-1] if err.strip() else "without a word"
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    return f"its process {how}: {last}"


def _limit_memory(size_bytes: int) -> None:
    if size_bytes and os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (size_bytes, size_bytes))


def _die_with_parent() -> None:
    """Let this process be killed when its parent dies, however that happens, where the system can do that."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _answer(target: str, argument: dict[str, Any]) -> dict[str, Any]:
    module, _, function = target.partition(":")
    try:
        return {"result": getattr(importlib.import_module(module), function)(**argument)}
    except MnistBenchError as error:
        return {"error": str(error), "exit_code": error.exit_code}
    except MemoryError:
        return {"error": "it ran out of the memory it may use", "exit_code": 3}
    except Exception as error:  # noqa: BLE001 the last door of this process
        return {"error": f"{type(error).__name__}: {error}", "exit_code": BUG}


def main() -> None:
    """Serve one call: the target and the memory limit on the command line, the argument on stdin."""
    _die_with_parent()
    answer_to = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print must not mix with the answer
    _limit_memory(int(sys.argv[2]))
    answer = _answer(sys.argv[1], json.load(sys.stdin))
    with answer_to:
        json.dump(answer, answer_to)


if __name__ == "__main__":
    main()
