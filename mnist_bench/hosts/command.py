"""Any command that speaks the protocol: a program in any language, or `ssh board mnist-bench serve --runtime NAME`."""

import os
import shlex
from pathlib import Path

from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import Skipped
from mnist_bench.hosts._contract import Launch

ARGUMENT, RUNTIMES, TIMED = True, (), True
PROCESSOR = None
MODEL = "{model}"


def why_unavailable() -> Skipped | None:
    """Whether it can be used shows when it is started."""
    return None


def launch(argument: str) -> Launch:
    """See `HostModule`; it runs in the user's present folder, which the command's paths are relative to."""
    try:
        command = tuple(shlex.split(argument))
    except ValueError as error:
        raise BadInput(f"command {argument!r} cannot be read ({error}): check its quotation marks") from error
    if not command:
        raise BadInput("an empty command starts no engine: name a program")
    reads_path = any(MODEL in word for word in command)
    return Launch(_label(command), command, dict(os.environ), str(Path.cwd()), reads_path)


def _label(command: tuple[str, ...]) -> str:
    """Name a command by its program, and by what that is told first: `engine`, `python engine`, `ssh board`."""
    program, *rest = (Path(word).stem for word in command)
    told = [word for word in rest[:1] if not word.startswith("-") and MODEL not in word]
    return " ".join([program, *told])
