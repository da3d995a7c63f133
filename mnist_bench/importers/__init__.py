"""What a model file from elsewhere is, what it wants, and reading it.

An importer is a module that keeps the contract `Importer`: its name is the kind's, and no list is to be edited.
`content` reads a file once, `kind_of` tells what it is without running anything of it, and `read` reads it in a process
of its own, with limits on its time and memory.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from numpy.typing import NDArray

from mnist_bench.core import child, plugins, scratch, text
from mnist_bench.core.architecture import LAYERS
from mnist_bench.core.errors import USAGE, ModelRefused
from mnist_bench.core.kinds import Activation
from mnist_bench.importers import _strangers
from mnist_bench.importers._contract import (
    GRAPH_FILE,
    WEIGHTS_FILE,
    Ending,
    Found,
    Given,
    Importer,
    Limits,
    ReadRequest,
    Request,
)
from mnist_bench.importers._network import Dense, graph_of
from mnist_bench.importers._strangers import content

__all__ = [
    "GRAPH_FILE",
    "WEIGHTS_FILE",
    "Ending",
    "Found",
    "Given",
    "Importer",
    "Limits",
    "Request",
    "before_ending",
    "content",
    "graph_of_weights",
    "kind_of",
    "load",
    "names",
    "read",
]


def names() -> tuple[str, ...]:
    """Return the kinds of files that can be read."""
    import mnist_bench.importers as folder

    return plugins.names(folder)


def load(kind: str) -> Importer:
    """Return the importer of a kind.

    Raises:
        BadInput: there is no such kind.
    """
    import mnist_bench.importers as folder

    return cast("Importer", plugins.load(folder, kind))


def kind_of(path: Path, content: bytes) -> str:
    """Tell what kind of model a file is, from its content alone: nothing of it is run.

    Args:
        path: where it is, for the message.
        content: what is in it.

    Raises:
        ModelRefused: it is no model that can be read: what it is instead, and what to do.
    """
    given = Given(content)
    try:
        _strangers.check(given)
        for kind in names():
            if load(kind).recognises(given):
                return kind
        raise _strangers.refusal(given)
    except ModelRefused as error:
        raise ModelRefused(f"{path} {error}") from error


def read(
    path: Path,
    content: bytes,
    folder: Path,
    *,
    trusted: bool,
    limits: Limits,
    output: str = "",
    classes: int | None = None,
) -> Found:
    """Read a model file in a process of its own.

    Args:
        path: where it is, for messages.
        content: what is in it: what was looked at is what is read.
        folder: where its weights and its graph are written.
        trusted: read it although it is a program, which can do anything.
        output: the name of the output that is the answer, where a graph has several.
        classes: how many classes there are, if known: of several outputs it may tell the answer.
        limits: on the time and the memory of that process.

    Raises:
        ModelRefused: it is no model that can be read, is a program that nobody vouches for, or its reader hung or died.
        ChildFailed: a library is lacking, or memory ran out.
    """
    kind = kind_of(path, content)
    if load(kind).PROGRAM and not trusted:
        raise ModelRefused(
            f"{path} is a program ({kind}): loading it can do anything; --trust-code if you know where it is from"
        )
    with scratch.folder() as place:
        given = place / "given"
        given.write_bytes(content)
        request = ReadRequest(kind=kind, path=str(given), folder=str(folder), output=output, classes=classes)
        return _read(request, path, limits)


def _read(request: ReadRequest, path: Path, limits: Limits) -> Found:
    try:
        return child.call(
            "mnist_bench.importers._serve:serve",
            request,
            Found,
            time_limit_s=limits.time_s,
            memory_limit_bytes=limits.memory_bytes,
            died_exit_code=USAGE,
        )
    except child.ChildFailed as error:
        if error.exit_code == USAGE:
            raise ModelRefused(f"{path} ({request.kind}): {text.line(str(error))}") from error
        raise child.ChildFailed(f"{path} ({request.kind}): {error}", error.exit_code) from error


def before_ending(graph: Any, output: str) -> str:
    """Return the name of the value that a graph's softmax or log-softmax is applied to, or its last cast."""
    from mnist_bench.importers._graph import View
    from mnist_bench.importers._recognise import ending_of

    return ending_of(View.of(graph), output)[1]


def graph_of_weights(arrays: Mapping[str, NDArray[Any]], activation: Activation) -> bytes:
    """Return the specified network with these weights as an ONNX file, for one that wants other images than ours."""
    layers = [
        Dense(arrays[f"fc{number}.weight"], arrays[f"fc{number}.bias"], activation if number < len(LAYERS) else "")
        for number in range(1, len(LAYERS) + 1)
    ]
    return graph_of(layers)
