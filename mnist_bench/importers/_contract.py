"""What an importer is given, and what it tells. Imports NumPy and msgspec alone: whoever asks needs no engine."""

import functools
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from mnist_bench.core.errors import ModelRefused
from mnist_bench.core.kinds import Activation
from mnist_bench.core.signature import Signature

Ending = Literal["logits", "softmax", "log-softmax", "other"]
ARCHIVE = b"PK\x03\x04"
"""What a zip archive begins with: its first file."""
WEIGHTS_FILE, GRAPH_FILE = "weights.safetensors", "graph.onnx"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a model file is, what it wants, and what was read of it.

    `specified`: its weights are those of the specified network, 784-512-256-10, in `weights_file`: float32
    `fc1.weight` … `fc3.bias`; `activation` is None where the file does not tell, as of bare weights. `ending` is what
    the chosen output is, as far as the graph tells. `signature` has "unit" pixels unless the graph tells otherwise.
    `precision` is a `Precision`, "fp64" or "unknown". `notes` are sentences: what was adapted or chosen. `graph_file`
    is the network as a self-contained ONNX graph, of which `signature`, `ending` and `classes` tell; None where there
    is none. `opens` are operators that are not standard, `com.microsoft.FusedGemm` say, and `random` is what makes
    answers differ from call to call. `compares`: the answer to an image depends on the others of its batch.
    """

    kind: str
    specified: bool
    activation: Activation | None = None
    ending: Ending = "logits"
    signature: Signature
    precision: str
    classes: int | None = None
    producer: str = ""
    notes: tuple[str, ...] = ()
    weights_file: str | None = None
    graph_file: str | None = None
    opens: tuple[str, ...] = ()
    random: tuple[str, ...] = ()
    compares: bool = False


class Limits(Protocol):
    """How long a file may be read, and how much memory that may take."""

    @property
    def time_s(self) -> float:
        """Seconds in all."""

    @property
    def memory_bytes(self) -> int | None:
        """Bytes that may be allocated; None for any number."""


class ReadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a child reads: a file of a kind, at `path`, into a folder; `output` and `classes` as in `Request`."""

    kind: str
    path: str
    folder: str
    output: str = ""
    classes: int | None = None


@dataclass(frozen=True)
class Given:
    """A file's content, as an importer looks at it; nothing of it is run or unpacked for that."""

    content: bytes

    @functools.cached_property
    def entries(self) -> tuple[str, ...]:
        """The names of a zip archive's entries; nothing of any other file, nor of one that an archive is put behind."""
        if not self.content.startswith(ARCHIVE):
            return ()
        try:
            with zipfile.ZipFile(io.BytesIO(self.content)) as archive:
                return tuple(archive.namelist())
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError, OverflowError):
            return ()


@dataclass(frozen=True)
class Request:
    """A file to read: its content, and the folder that files are written into.

    `output` is the name of the answer, if told, and `classes` how many there are, if known.
    """

    content: bytes
    folder: Path
    output: str = ""
    classes: int | None = None

    def write_graph(self, content: bytes) -> str:
        """Write a graph, and return the file's name."""
        (self.folder / GRAPH_FILE).write_bytes(content)
        return GRAPH_FILE


class Importer(Protocol):
    """How files of one kind are read: a module of this folder, whose name is the kind's.

    `recognises` runs in the process of the command and imports no library; `read` runs in a child with limits.
    """

    @property
    def WHAT(self) -> str:  # noqa: N802
        """What such a file is, for people: "an ONNX model"."""

    @property
    def PROGRAM(self) -> bool:  # noqa: N802
        """Whether reading it runs code that is in it."""

    def recognises(self, given: Given) -> bool:
        """Tell from its content alone whether a file is of this kind; raise ModelRefused where it breaks off."""

    def read(self, request: Request) -> Found:
        """Read a file; raise ModelRefused where it is not what it should be."""


def refuse_output(request: Request, kind: str) -> None:
    """Raise ModelRefused where an output was named of a file that has but one."""
    if request.output:
        raise ModelRefused(f"{kind} has one output, which has no name: leave {request.output!r} out")
