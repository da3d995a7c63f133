"""A process that has imported everything and forks one command at a time: a run of a command costs its work alone.

Reads lines of JSON on stdin, a command each, and answers a line each, {"status", "took_s"}. Of a command, `kill` are
signals, sent after so many seconds each, counted from the one before. Run by its path, with the fault injector
preloaded.
"""

import json
import os
import signal
import sys
import time
from typing import Any


def ready() -> None:
    """Import what the commands import, and start no thread: threads do not survive a fork."""
    import matplotlib.figure  # noqa: F401
    import torch

    torch.set_num_threads(1)
    import torch._dynamo
    import torch.onnx

    from mnist_bench import data

    data.load("digits")


STOPPING = (signal.SIGINT, signal.SIGTERM)


def became(request: dict[str, Any]) -> None:
    """Become one command; never returns."""
    status = 70
    try:
        os.setsid()
        os.environ.update(request["variables"])
        os.chdir(str(request["folder"]))
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            file = os.open(str(request[name]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(file, descriptor)
            os.close(file)
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, 0)
        from mnist_bench.__main__ import stopped
        from mnist_bench.cli import _main

        for number in STOPPING:
            signal.signal(number, stopped)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

        sys.argv = ["mnist-bench", *request["arguments"]]
        try:
            _main.main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def carried_out(request: dict[str, Any]) -> dict[str, float]:
    """Fork a command, send it the signals, and wait for it."""
    began = time.monotonic()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # what comes before the child can tell waits until then
    child = os.fork()
    if not child:
        became(request)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    status = None
    for number, after_s in request["kill"]:
        end = time.monotonic() + after_s
        while status is None and time.monotonic() < end:
            ended, found = os.waitpid(child, os.WNOHANG)
            status = found if ended else None
            time.sleep(0.0005)
        if status is None:
            os.kill(child, number)
    limit = began + float(request["limit_s"])
    while status is None:
        ended, found = os.waitpid(child, os.WNOHANG)
        status = found if ended else None
        if status is None and time.monotonic() > limit:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return {"status": 1000, "took_s": time.monotonic() - began}
        time.sleep(0.0005)
    return {"status": os.waitstatus_to_exitcode(status), "took_s": time.monotonic() - began}


if __name__ == "__main__":
    ready()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(carried_out(json.loads(line))) + "\n")
        sys.stdout.flush()
