"""The step in C, which skips dark pixels: a product with zero adds nothing to a sum.

Four fifths of MNIST's pixels are dark, and two thirds of a step's operations have the image as an operand. The step is
compiled by the system's compiler when it is first asked for, checked by a known answer, and kept: see `_compiled`. It
takes the images of a batch by label, so that neighbours light the same pixels; their masks go with them, and the sum
over a batch has no order.

Adam's averages of a gradient that is zero decay until they are subnormal numbers, which processors are slow with: they
are set to zero below 1e-30, as `ManualStep` does, at every step rather than at some. A weight that is not finite and
whose pixel is dark in all images of a batch is not read, and so not seen in its loss.
"""

import ctypes
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mnist_bench import model
from mnist_bench.core import child
from mnist_bench.core.architecture import CLASSES, HIDDEN_1, HIDDEN_2, PIXELS
from mnist_bench.core.errors import BadInput, EnvironmentProblem, MnistBenchError
from mnist_bench.core.kinds import Activation, Skipped
from mnist_bench.core.types import Tally, TrainConfig
from mnist_bench.model import Network
from mnist_bench.training._schedule import MaskStream, kept
from mnist_bench.training.engines import _compiled
from mnist_bench.training.engines._engine import MOMENTS, Engine, RunningTally

DEVICES, PRECISION, SKIPS_ZEROS = ("cpu",), "fp32", True
LARGEST_LIT_SHARE = 0.6
"""From there on dense products may be faster: with AVX2 alone they are where all pixels are lit."""

SOURCE = Path(__file__).with_name("_sparse.c")
CHECK_S = 120.0

STEPS_A_CALL = 16
"""Threads start and end with a call, which is a hundredth of this; whoever wants to stop waits for one."""

IMAGES, BLOCK, TOGETHER, MOST_THREADS = 4, 4, 8, 256
"""As in the C file, which says in `agreed` what it was compiled with."""

BLOCKED = torch.arange(PIXELS).view(14, 2, 14, 2).transpose(1, 2).flatten()
"""The pixels in the order in which the C code has them: squares of four, left to right and top to bottom."""

ANSWERS: dict[Activation, float] = {"relu": 6.765096636, "sigmoid": 23.253213755}
"""The loss of the small training in `answers`, summed over its last epoch; computed in float64 by autograd."""

NEAR = 1e-5


class _Parameter(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("value", *MOMENTS)]


class _Training(ctypes.Structure):
    """See the C file; so are the names."""

    _fields_ = [
        *((f"{kind}_{layer}", _Parameter) for layer in (1, 2, 3) for kind in ("weight", "bias")),
        *((name, ctypes.c_void_p) for name in ("images", "lit", "lit_blocks", "brightness")),
        *((name, ctypes.c_void_p) for name in ("transposed_2", "hidden_1", "hidden_2")),
        *((name, ctypes.c_void_p) for name in ("gradient_1", "gradient_2", "gradient_3")),
        *((name, ctypes.c_void_p) for name in ("lit_counts", "lit_pixels", "pixel_values")),
        *((name, ctypes.c_void_p) for name in ("listed", "lit_images", "image_values")),
        *((name, ctypes.c_int64) for name in ("padded", "threads")),
        *((name, ctypes.c_int32) for name in ("sigmoid", "largest_kept")),
        *((name, ctypes.c_float) for name in ("kept_scale", "learning_rate")),
    ]


class _Work(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("indices", "labels", "mask_rows", "words", "logits")),
        *((name, ctypes.c_int64) for name in ("images", "size", "steps_before")),
    ]


class SparseEngine:
    """See the module; the contract is `Engine`."""

    def __init__(
        self, network: Network, images: Tensor, labels: Tensor, config: TrainConfig, library: ctypes.CDLL
    ) -> None:
        self._network, self._config, self._labels, self._library = network, config, labels, library
        self._panel, self._threads = _panel(library), min(config.threads, MOST_THREADS)
        self._parameters = {name: parameter.data for name, parameter in network.named_parameters()}
        values = {name: self._packed(name, value) for name, value in self._parameters.items()}
        self._held = [values, *({name: torch.zeros_like(value) for name, value in values.items()} for _ in MOMENTS)]
        self._current, self._steps = True, 0
        self._given = _given(images)
        self._buffers: dict[str, Tensor] = {}

    @property
    def network(self) -> Network:
        """See `Engine.network`: brought up to date when it is asked for."""
        if not self._current:
            for name, parameter in self._parameters.items():
                parameter.copy_(self._unpacked(name, self._held[0][name]))
            self._current = True
        return self._network

    def run(self, order: Tensor, masks: MaskStream, tally: RunningTally) -> Iterator[int]:
        """See `Engine.run`; yields after several steps."""
        size = max(min(self._config.batch_size, len(order)), 1)
        if not self._buffers or len(self._buffers["gradient_3"]) < size:
            self._buffers = _buffers(size, self._panel, self._threads)
        labels, numbers = self._labels.index_select(0, order), torch.arange(len(order))
        places = torch.argsort(numbers.div(size, rounding_mode="floor") * CLASSES + labels, stable=True)
        at_once = size * STEPS_A_CALL
        ordered = (order.index_select(0, places), labels.index_select(0, places), places.remainder(at_once))
        for indices, of, rows in zip(*(torch.split(part, at_once) for part in ordered), strict=True):
            words = masks.draw_words([len(batch) for batch in torch.split(rows, size)])
            tally.add(self._take(size, indices, of, rows, words), of)
            yield len(indices)

    def _take(self, size: int, indices: Tensor, labels: Tensor, rows: Tensor, words: Tensor) -> Tensor:
        """Take the steps of some batches; return their logits."""
        config, logits = self._config, torch.empty(len(indices), CLASSES)
        places = [one.data_ptr() for one in (indices, labels, rows, words, logits)]
        work = _Work(*places, len(indices), size, self._steps)
        parameters = [_Parameter(*(held[name].data_ptr() for held in self._held)) for name in self._parameters]
        tensors = [one.data_ptr() for one in (*self._given, *self._buffers.values())]
        largest_kept, scale = kept(config.dropout)
        padded, sigmoid = len(self._buffers["gradient_3"]), config.activation == "sigmoid"
        numbers = (padded, self._threads, sigmoid, largest_kept, scale, config.learning_rate)
        training = _Training(*parameters, *tensors, *numbers)
        self._current = False
        self._library.take_steps(ctypes.byref(training), ctypes.byref(work))
        self._steps += -(-len(indices) // size)
        return logits

    def optimizer_state(self) -> dict[str, Tensor]:
        """See `Engine.optimizer_state`."""
        found = {
            f"{name}.{moment}": self._unpacked(name, value)
            for moment, held in zip(MOMENTS, self._held[1:], strict=True)
            for name, value in held.items()
        }
        return found | {"step": torch.tensor(float(self._steps))}

    def restore(self, weights: Mapping[str, Tensor], optimizer_state: Mapping[str, Tensor]) -> None:
        """See `Engine.restore`."""
        for name in self._parameters:
            given = (weights[name], *(optimizer_state[f"{name}.{moment}"] for moment in MOMENTS))
            for held, value in zip(self._held, given, strict=True):
                held[name].copy_(self._packed(name, value))
        self._steps = int(optimizer_state["step"])
        self._current = False

    def _packed(self, name: str, value: Tensor) -> Tensor:
        """Return a parameter, or what is kept of it, in a layout of its own: see the C file."""
        match name:
            case "fc1.weight":
                return value[:, BLOCKED].view(-1, self._panel, PIXELS).transpose(1, 2).contiguous()
            case "fc2.weight":
                return value.view(-1, self._panel, HIDDEN_1).transpose(1, 2).contiguous()
            case "fc3.bias":
                return functional.pad(value, (0, self._panel - CLASSES))
        return value.clone()

    def _unpacked(self, name: str, held: Tensor) -> Tensor:
        """Return what `_packed` was given, in memory of its own."""
        match name:
            case "fc1.weight":
                return held.transpose(1, 2).flatten(0, 1)[:, BLOCKED.argsort()]
            case "fc2.weight":
                return held.transpose(1, 2).flatten(0, 1)
            case "fc3.bias":
                return held[:CLASSES].clone()
        return held.clone()


def _given(images: Tensor) -> tuple[Tensor, ...]:
    """Return bytes, bits and brightness of images float32 (n, 1, 28, 28), as the C code takes them.

    Raises:
        BadInput: they do not come from bytes.
    """
    brightness = torch.arange(256, dtype=torch.float32) / 255
    parts = []
    for part in torch.split(images.flatten(1), 4096):  # no second copy of all images as float32
        found = (part * 255).round_().to(torch.uint8)
        if not torch.equal(found.float().div_(255), part):
            raise BadInput("engine 'sparse' trains on images that were bytes: use another --engine")
        parts.append(found[:, BLOCKED])
    pixels = torch.cat(parts)
    bytes_of = pixels.numpy()
    return pixels, _bits(bytes_of > 0), _bits(bytes_of.view(np.uint32) > 0), brightness  # BLOCK bytes: a block


def _bits(lit: NDArray[np.bool_]) -> Tensor:
    """Return booleans (n, m) as bits, the first the lowest of the first word: uint64 (n, m / 64, rounded up)."""
    packed = np.packbits(lit, axis=1, bitorder="little")
    return torch.from_numpy(np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8))).view(np.uint64))


def _panel(library: ctypes.CDLL) -> int:
    """Return how many units a library has in a panel; raise EnvironmentProblem where it is not of this module."""
    sizes = ctypes.sizeof(_Training), ctypes.sizeof(_Work)
    panel, *found = (ctypes.c_int64 * 7).in_dll(library, "agreed")
    if found != [IMAGES, BLOCK, TOGETHER, MOST_THREADS, *sizes]:
        raise EnvironmentProblem("what the C compiler made of it has another layout")
    return panel


def _buffers(images: int, panel: int, threads: int) -> dict[str, Tensor]:
    """Return what the C code writes for batches of so many images, in the order of its fields.

    The numbers that nothing writes must be finite.
    """
    padded = -(-images // TOGETHER) * TOGETHER
    panels_1, panels_2, groups = HIDDEN_1 // panel, HIDDEN_2 // panel, padded // IMAGES
    blocks, floats, ints = PIXELS // BLOCK, torch.float32, torch.int32
    shapes: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {
        "transposed_2": (floats, (panels_1, HIDDEN_2, panel)),
        "hidden_1": (floats, (panels_1, padded, panel)),
        "hidden_2": (floats, (panels_2, padded, panel)),
        "gradient_1": (floats, (threads, padded, panel)),
        "gradient_2": (floats, (panels_2, padded, panel)),
        "gradient_3": (floats, (padded, panel)),
        "lit_counts": (ints, (groups,)),
        "lit_pixels": (ints, (groups, PIXELS)),
        "pixel_values": (floats, (groups, PIXELS, IMAGES)),
        "listed": (ints, (blocks,)),
        "lit_images": (ints, (blocks, padded)),
        "image_values": (floats, (blocks, padded, BLOCK)),
    }
    return {name: torch.zeros(shape, dtype=kind) for name, (kind, shape) in shapes.items()}


Create = Callable[[Network, Tensor, Tensor, TrainConfig], Engine]


class Candidate(msgspec.Struct, frozen=True):
    """A library that may be loaded, or not."""

    path: str


class _ArithmeticMasks(MaskStream):
    """Masks that depend on no generator, whose numbers may be others in another version of PyTorch."""

    _number = 0

    def _drawn(self, words: Tensor) -> Tensor:
        places = torch.arange(self._number, self._number + words.numel())
        self._number += words.numel()
        return words.copy_((places * 6364136223846793005 + 1442695040888963407).view_as(words))


def answers(candidate: Candidate) -> dict[str, float]:
    """Train a small network with a library; return by activation the loss of its last epoch, or -1 where it has none.

    See `ANSWERS`.
    """
    create = functools.partial(SparseEngine, library=ctypes.CDLL(candidate.path))
    found = {name: small_training(create, name) for name in ANSWERS}
    return {name: loss if math.isfinite(loss) else -1.0 for name, loss in found.items()}


def small_training(create: Create, activation: Activation) -> float:
    """Train three epochs of 13 images in batches of 6, from weights that no generator drew; return the last one's loss.

    Everything that a step computes has a share in the steps after it.
    """
    config = TrainConfig(activation=activation, batch_size=6, learning_rate=0.003, threads=2)
    network = model.Network(activation, config.dropout)
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters(), 1):
            places = torch.arange(parameter.numel(), dtype=torch.float64)
            parameter.copy_((torch.cos(places * (1 + places / 97) + number) / 20).view_as(parameter))
    rows, columns = torch.arange(13)[:, None], torch.arange(PIXELS)
    pixels = torch.where((columns // 5 + 3 * rows) % 4 == 0, (17 * rows + 29 * columns) % 256, 0)
    images = (pixels.float() / 255).view(-1, 1, 28, 28)
    engine = create(network, images, rows.flatten() * 3 % CLASSES, config)
    for epoch in (1, 2, 3):
        tally = RunningTally.start(Tally(), "cpu")
        for _ in engine.run(torch.arange(13).flip(0), _ArithmeticMasks(0, epoch, config.dropout, "cpu"), tally):
            pass
    return tally.read().loss_sum


@functools.cache
def _library() -> ctypes.CDLL:
    def check(path: Path) -> None:
        found = child.call(f"{__name__}:answers", Candidate(str(path)), dict[str, float], time_limit_s=CHECK_S)
        for name, answer in ANSWERS.items():
            if not abs(found[name] - answer) <= NEAR * answer:
                raise EnvironmentProblem("what the C compiler made of it computes something else")

    return _compiled.library(SOURCE, (Path(__file__).read_text(encoding="utf-8"),), check)


@functools.cache
def why_unavailable() -> Skipped | None:
    """Compile what is not compiled yet; return why that cannot be done here, or None."""
    if missing := _compiled.no_compiler("sparse"):
        return missing
    try:
        _library()
    except (MnistBenchError, OSError) as error:
        return Skipped(
            "sparse", str(error), "set CC to a C compiler that works, and XDG_CACHE_HOME to a folder of yours"
        )
    return None


def create(network: Network, images: Tensor, labels: Tensor, config: TrainConfig) -> Engine:
    """Build the engine; see `Engine`."""
    return SparseEngine(network, images, labels, config, _library())
