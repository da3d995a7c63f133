"""What a runtime is, what it is given, and what it gives. Imports NumPy alone: a worker starts with this."""

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.errors import Unsupported
from mnist_bench.core.kinds import Activation, Precision, Skipped

if TYPE_CHECKING:
    from mnist_bench.core.signature import Signature

Images = NDArray[np.float32]
Logits = NDArray[np.float32]
Layers = Mapping[str, NDArray[np.float32]]
"""What layers give, by name and in order, each (n, units): `fc1` before its activation, `act1` after it … `fc3`."""


@dataclass(frozen=True)
class Model:
    """What a runtime opens: content whose hash has been checked, and not a path to look up once more.

    `files` are contents by name, of an artifact that is one file a single one. `precision` is that of the file,
    `activation` for runtimes that read bare weights, `batch` the batch size where the file takes only one. A `foreign`
    file must be looked at before it is opened: nobody vouches for it. `signature` is how images come, and which output
    is the answer, where that is not as ours have it.
    """

    files: Mapping[str, bytes]
    format: str
    precision: Precision
    activation: Activation
    batch: int | None = None
    foreign: bool = False
    signature: "Signature | None" = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image, as it comes."""
        return self.signature.shape if self.signature else (1, 28, 28)

    @property
    def dtype(self) -> str:
        """The type of the pixels, as they come."""
        return self.signature.dtype if self.signature else "float32"

    @property
    def output(self) -> str | None:
        """The name of the output that is the answer; None for the only one."""
        return (self.signature.output if self.signature else "") or None

    @property
    def content(self) -> bytes:
        """The content of an artifact that is one file."""
        (content,) = self.files.values()
        return content

    @contextlib.contextmanager
    def on_disk(self) -> Iterator[Path]:
        """Put the files into a new folder while this lasts, for engines that insist on a path; yield the folder."""
        with tempfile.TemporaryDirectory() as folder:  # in the scratch folder that this worker was given
            for name, content in self.files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            yield Path(folder)


@dataclass(frozen=True)
class Spec:
    """In what configuration to run it.

    `device` is `cpu` or `cuda:N`, `threads` how many CPU threads an operation may use, `precision` what to compute in.
    """

    device: str = "cpu"
    threads: int = 1
    precision: Precision = "fp32"


class PairSums(NamedTuple):
    """Sums of two neighbouring int8 products: the largest, how many can exceed 16 bits, and how many there are."""

    largest: int
    beyond: int
    pairs: int


@dataclass(frozen=True)
class Effective:
    """Where and how a session really runs, read back from it and not repeated from what was asked for.

    `precision` is a `Precision`, or the name of what runs instead; `pair_sums` is of what computes with int8.
    `arithmetic` is in what products of fp16 are computed, where that is known: `fp32` or `fp16`, by the processor.
    """

    provider: str
    precision: str
    pair_sums: PairSums | None = None
    arithmetic: str | None = None


@dataclass(frozen=True)
class Session:
    """An opened model: `run` maps images (n, 1, 28, 28) to logits (n, 10), `batch` at a time where that is fixed.

    `inspect` looks how it runs, which can cost time and memory, so that opening costs only what a user's does. `layers`
    maps images to what every layer gives them, of an engine that can show that; it may compute one by one what `run`
    fuses, and raises Unsupported where the model is no chain of dense layers.
    """

    run: Callable[[Images], Logits]
    inspect: Callable[[], Effective]
    batch: int | None = None
    layers: Callable[[Images], Layers] | None = None


class Runtime(Protocol):
    """How one engine library opens a file and answers: a module of this folder, whose name is its name.

    It imports NumPy and nothing of ours but types; its engine inside the functions, which run in a worker, but for
    `why_unavailable`, which may not import it. The smallest one, for a library that is called `abacus`:

        FORMAT, DEVICES, PRECISIONS = "onnx", ("cpu",), as_stored("fp32")
        COMPILED, LIBRARY = False, "abacus"

        def why_unavailable():
            return not_installed("abacus")

        def why_not_on(device):
            return None

        def version():
            import abacus
            return abacus.__version__

        @contextmanager
        def open(model, spec):
            import abacus
            engine = abacus.load(model.content, threads=spec.threads)
            yield Session(engine, lambda: Effective("abacus", "fp32"))
    """

    @property
    def FORMAT(self) -> str | None:  # noqa: N802
        """The format that it reads: `weights` for the checkpoint itself, None for nothing at all."""

    @property
    def DEVICES(self) -> tuple[str, ...]:  # noqa: N802
        """The kinds of devices that it can use: `cpu`, `cuda`."""

    @property
    def PRECISIONS(self) -> Mapping[Precision, Precision]:  # noqa: N802
        """In what it can compute, and of which precision the file must be for that; see `as_stored`."""

    @property
    def COMPILED(self) -> bool:  # noqa: N802
        """Whether a file runs only on the device that it was exported for."""

    @property
    def LIBRARY(self) -> str:  # noqa: N802
        """The distribution whose version is its version."""

    def why_unavailable(self) -> Skipped | None:
        """Return why it cannot be used on this machine, or None; without importing the engine."""

    def why_not_on(self, device: str) -> Skipped | None:
        """Return why it cannot be used on a device of a kind in `DEVICES`, or None."""

    def version(self) -> str:
        """Return the version of what runs."""

    def open(self, model: Model, spec: Spec) -> AbstractContextManager[Session]:
        """Open a model while this lasts; raises ModelRefused where it is not what it should be."""


def in_float32(run: Callable[[Images], NDArray[np.floating]], model: Model) -> Callable[[Images], Logits]:
    """Let a model from elsewhere answer in float32, whatever the type of its output."""
    if not (model.foreign or model.signature):
        return run

    def converted(images: Images) -> Logits:
        return np.asarray(run(images), np.float32)

    return converted


def as_stored(*precisions: Precision) -> dict[Precision, Precision]:
    """Return what a runtime that computes in the file's own precision has for `PRECISIONS`."""
    return {precision: precision for precision in precisions}


def not_installed(target: str, module: str | None = None, remedy: str | None = None) -> Skipped | None:
    """Return that a module cannot be imported, without importing it; None where it can."""
    if find_spec(module or target.replace("-", "_")):
        return None
    return Skipped(target, "it is not installed", remedy or f"pip install {target}")


def extra(target: str, module: str, distribution: str, oldest: tuple[int, ...]) -> Skipped | None:
    """Return why what an extra of this package installs cannot be used, without importing it; None where it can.

    The extra is called as the target, `mnist-bench[openvino]` say; `oldest` is the version that it wants, in numbers.
    """
    remedy = f"mnist-bench runtimes --install {target}"
    if not find_spec(module):
        return Skipped(target, "it is not installed", remedy)
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version(distribution)
    except PackageNotFoundError:
        return Skipped(target, f"a module {module} is here that is not of {distribution}", f"remove it, and {remedy}")
    if tuple(map(int, re.findall(r"\d+", found)[: len(oldest)])) < oldest:
        return Skipped(target, f"{distribution} {found} is older than {'.'.join(map(str, oldest))}", remedy)
    return None


DENSE, ACTIVATED = "fc", "act"
"""The kinds of layers, of which `fc1`, `act1`, `fc2` … are the first, the second …"""


def layer_names(kinds: Sequence[str]) -> list[str]:
    """Name the layers of a chain of dense layers and activations, in turns; raises Unsupported where it is none."""
    if len(kinds) % 2 == 0 or any(kind != (DENSE, ACTIVATED)[place % 2] for place, kind in enumerate(kinds)):
        raise Unsupported("its layers cannot be told apart: they are not dense ones and activations in turns")
    return [f"{kind}{place // 2 + 1}" for place, kind in enumerate(kinds)]
