"""What can be taken for granted of a model that is not as the reference is, so that the rest of it can be verified."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from msgspec.structs import replace as replace_field
from numpy.typing import NDArray

from mnist_bench.core.architecture import CLASSES
from mnist_bench.core.errors import BadInput
from mnist_bench.core.signature import MEAN, OURS, Pixels
from mnist_bench.parity._certificate import U32
from mnist_bench.parity._outputs import Output
from mnist_bench.parity._reference import Array

if TYPE_CHECKING:
    from mnist_bench.runtimes import Model

PIXELS: tuple[Pixels, ...] = get_args(Pixels)
OUTPUTS: tuple[Output, ...] = ("softmax", "log-softmax")
TRANSPOSED, PERMUTED = "transposed", "permuted"
NAMES = (*OUTPUTS, *PIXELS, TRANSPOSED, f"{PERMUTED}:3,1,…")
"""What `verify --assume` takes."""

PIXEL_ROUNDINGS = 6
"""More than the roundings of float32 in which a pixel is changed on its way, and changed back by the model."""

SIZES: Mapping[Pixels, float] = {"bytes": 0.0, "normalised": MEAN, "inverted": 1.0}
"""What is added to a pixel meanwhile, in units of pixels: what it is then is rounded."""


@dataclass(frozen=True)
class Assumption:
    """What is assumed: the values of pixels, the direction of images, what is answered, and in which order of classes.

    `order` says which class each answer is of.
    """

    pixels: Pixels | None = None
    transposed: bool = False
    output: Output = "logits"
    order: tuple[int, ...] | None = None

    @classmethod
    def of(cls, names: Sequence[str]) -> "Assumption":
        """Read what `verify --assume` was given; nothing is what the reference does.

        Raises:
            BadInput: nothing is called so, or two of them contradict each other.
        """
        found = cls()
        for name in names:
            changed = found.and_also(name)
            if len(changed.names) <= len(found.names):
                raise BadInput(f"--assume {name} contradicts, or repeats, one before ({', '.join(found.names)})")
            found = changed
        return found

    def and_also(self, name: str) -> "Assumption":
        """Return this and one more, which takes the place of what contradicts it, or turns images back.

        Raises:
            BadInput: nothing is called so.
        """
        kind, _, numbers = name.partition(":")
        if name in OUTPUTS:
            return replace(self, output=name)
        if name in PIXELS:
            return replace(self, pixels=name)
        if name == TRANSPOSED:
            return replace(self, transposed=not self.transposed)
        if kind == PERMUTED:
            return replace(self, order=_order(numbers))
        raise BadInput(f"--assume {name!r} is not one of {', '.join(NAMES)}")

    @property
    def names(self) -> tuple[str, ...]:
        """What it is called."""
        return (
            *([self.pixels] if self.pixels else []),
            *([TRANSPOSED] if self.transposed else []),
            *([self.output] if self.output != "logits" else []),
            *([f"{PERMUTED}:{','.join(map(str, self.order))}"] if self.order else []),
        )

    def of_model(self, model: "Model") -> "Model":
        """Return a model whose images are changed as is assumed."""
        now = model.signature or OURS
        if self.pixels:
            now = replace_field(now, pixels=self.pixels)
        if self.transposed:
            now = replace_field(now, orientation="rows" if now.orientation == "columns" else "columns")
        return replace(model, signature=now) if now != (model.signature or OURS) else model

    def of_answers(self, answers: NDArray[Any]) -> NDArray[Any]:
        """Return answers, (n, classes) where they are as they should be, in the order of the classes."""
        if self.order is None or answers.shape[1:] != (len(self.order),):
            return answers
        return np.ascontiguousarray(answers[:, np.argsort(self.order)])

    def pixel_errors(self, images: NDArray[np.float32]) -> Array | None:
        """Return by how much rounding may change each pixel on its way; None where nothing is rounded."""
        if self.pixels in (None, "unit"):
            return None
        sizes = np.abs(images.astype(np.float64)) + SIZES[self.pixels]
        return np.asarray(PIXEL_ROUNDINGS * U32 * sizes, np.float64)


def _order(numbers: str) -> tuple[int, ...]:
    """Read an order of classes; raises BadInput where it is none."""
    words = numbers.split(",")
    found = tuple(int(word) for word in words if word in map(str, range(CLASSES)))
    if sorted(found) != list(range(CLASSES)) or len(found) != len(words):
        raise BadInput(f"{PERMUTED}:{numbers} is not an order of classes: name each of 0 to {CLASSES - 1} once")
    return found


NOTHING = Assumption()
