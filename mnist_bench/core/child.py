"""Calling a function in a process of its own, with limits on its time and memory.

Python's own process pools share what the parent has imported or hang on a child that dies; here a crash, a hang or an
exhausted memory becomes one error, and nothing is left behind.
"""

import errno
import importlib
import json
import os
import subprocess
import sys
import threading
import typing
from typing import TypeVar

import msgspec

from mnist_bench.core import collector, process, scratch, text
from mnist_bench.core.errors import BUG, ENVIRONMENT, MnistBenchError
from mnist_bench.core.messages import taken_stdout

T = TypeVar("T")


class ChildFailed(MnistBenchError):
    """A function failed in its process; `exit_code` is that of the error it raised there."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


OF_THE_SYSTEM = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS", "EIO", "EMFILE", "ENFILE", "ENOMEM", "EFBIG")
    if hasattr(errno, name)
}
"""What a system refuses and no bug of ours asks for: a file that is not there may well be one."""


class Answer(msgspec.Struct, frozen=True):
    """What comes back from a call: a result, or an error and its exit code."""

    result: msgspec.Raw = msgspec.Raw(b"null")
    error: str | None = None
    exit_code: int = BUG


class Calls:
    """Calls made from several threads, which can be stopped together from another one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def stop(self) -> None:
        """Kill the processes of all calls, those to come too."""
        with self._lock:
            self._stopped = True
            for child in self._processes:
                process.kill_group(child)

    def add(self, child: "subprocess.Popen[bytes]") -> None:
        """Take in a process that has just started."""
        with self._lock:
            self._processes.add(child)
            if self._stopped:
                process.kill_group(child)

    def remove(self, child: "subprocess.Popen[bytes]") -> None:
        """Let go of a process that has been waited for: its number may soon be another's."""
        with self._lock:
            self._processes.discard(child)


def call(
    function: str,
    request: msgspec.Struct,
    result_type: type[T],
    *,
    time_limit_s: float,
    memory_limit_bytes: int | None = None,
    died_exit_code: int = BUG,
    among: Calls | None = None,
) -> T:
    """Call a function of one argument in a fresh process, and return what it returns.

    Args:
        function: its module and name, `module:name`; a name, so that this process need not import what that one does.
        request: its argument, of the type that it is annotated with; travels as JSON.
        result_type: what it returns, by its annotation; travels as JSON.
        time_limit_s: after so many seconds the process and its children are killed.
        memory_limit_bytes: how much memory it may allocate, where the system can limit that.
        died_exit_code: the error's exit code where the process hung or died without a word.
        among: the calls that this one is stopped together with.

    Raises:
        ChildFailed: the function raised an error, or the process hung, died or could not be started.
    """
    try:
        # Not msgspec's own encoder: a path may hold bytes that are not UTF-8.
        question = json.dumps(msgspec.to_builtins(request)).encode()
        status, out, err = _run(function, question, time_limit_s, memory_limit_bytes, among)
    except subprocess.TimeoutExpired as error:
        raise ChildFailed(f"it took longer than {time_limit_s:g} s and was stopped", died_exit_code) from error
    except OSError as error:
        raise ChildFailed(f"{sys.executable} cannot be started: {error.strerror}", ENVIRONMENT) from error
    try:
        answer = msgspec.json.decode(out, type=Answer)
    except msgspec.DecodeError as error:
        raise ChildFailed(process.epitaph(status, err), died_exit_code) from error
    if answer.error is not None:
        raise ChildFailed(answer.error, answer.exit_code)
    return _decoded(answer.result, result_type, function)


def _decoded(result: msgspec.Raw, result_type: type[T], function: str) -> T:
    try:
        return msgspec.json.decode(result, type=result_type)
    except msgspec.ValidationError as error:
        raise ChildFailed(f"{function} answered something else than it should: {error}", BUG) from error


def _run(
    function: str, question: bytes, time_limit_s: float, memory_limit_bytes: int | None, among: Calls | None
) -> tuple[int, bytes, str]:
    """Run a call in a process group of its own, of which nothing is left; return its status and what it printed."""
    # -P: what happens to lie in the folder where the user stands must not be imported in place of our own modules.
    command = [sys.executable, "-P", "-m", "mnist_bench.core.child", function]
    calls = among or Calls()
    with scratch.folder() as folder:
        environment = {**process.inherited(), **scratch.variables(folder)}
        started = process.start(command, memory_limit_bytes=memory_limit_bytes, environment=environment)
        with started:
            try:
                calls.add(started)
                out, err = started.communicate(question, timeout=time_limit_s)
            finally:
                process.kill_group(started)
                calls.remove(started)
    return started.returncode, out, err.decode("utf-8", "replace")


def _answer(name: str, question: bytes) -> Answer:
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
        (request_type,) = [kind for key, kind in typing.get_type_hints(function).items() if key != "return"]
        result = function(msgspec.convert(json.loads(question), request_type))
        return Answer(result=msgspec.Raw(msgspec.json.encode(result)))
    except MnistBenchError as error:
        return Answer(error=text.clean(str(error)), exit_code=error.exit_code)
    except Exception as error:  # noqa: BLE001 the last door of this process
        return _unexpected(error)


def _unexpected(error: Exception) -> Answer:
    """Tell what the system refused, at the bottom of whatever a library made of it, from what is a bug."""
    if text.is_out_of_memory(error):
        return Answer(error="it ran out of the memory it may use", exit_code=ENVIRONMENT)
    below = next((one for one in text.causes(error) if isinstance(one, OSError) and one.errno in OF_THE_SYSTEM), None)
    if isinstance(below, OSError):
        words = f"{below.filename}: {below.strerror}" if below.filename else str(below.strerror)
        words += _remedy(below)
        return Answer(error=text.clean(words), exit_code=ENVIRONMENT)
    full = os.strerror(errno.ENOSPC) in str(error)  # of a compiler, perhaps
    refused = full or text.is_of_a_library(error)
    return Answer(error=text.reason(text.of_error(error)), exit_code=ENVIRONMENT if refused else BUG)


def _remedy(error: OSError) -> str:
    return "; free some room there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""


def main() -> None:
    """Serve one call: the function on the command line, its argument on stdin."""
    collector.spare()
    answer_to = taken_stdout()
    answer = _answer(sys.argv[1], sys.stdin.buffer.read())
    with answer_to:
        answer_to.write(msgspec.json.encode(answer))
    collector.dismiss()


if __name__ == "__main__":
    main()
