"""What a model file wants and gives, where that is not what ours want and give.

Ours map float32 (n, 1, 28, 28) in [0, 1] to float32 logits (n, classes). Models from elsewhere mean the same and ask
for it in another shape, type or range: so images are changed on their way to them, here and nowhere else.
"""

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct, structs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OUR_SHAPE = (1, 28, 28)
MEAN, DEVIATION = 0.1307, 0.3081
"""Of the pixels of MNIST's training set: what tutorials normalise with (PyTorch's examples/mnist/main.py)."""

TWICE = 3 * 2.0**-24
"""More than what two roundings of float32 change, as a share."""

Pixels = Literal["unit", "bytes", "normalised", "inverted"]
"""What values pixels have: in [0, 1]; in [0, 255]; (pixel - 0.1307) / 0.3081; 1 - pixel."""
Orientation = Literal["rows", "columns"]
"""Which way the image is read: as it is, or transposed."""
Ending = Literal["logits", "softmax", "log-softmax"]
"""What the answers are: the last layer's sums, or what follows them."""
AnswerType = Literal["float32", "float64", "float16"]

SAID: dict[str, str] = {
    "bytes": "pixels from 0 to 255",
    "normalised": f"pixels normalised with mean {MEAN} and deviation {DEVIATION}",
    "inverted": "dark on light: 1 - pixel",
}


class Signature(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model takes and which of its outputs is the answer.

    `shape` is that of one image, `dtype` the type of its pixels, `output` the answer's name where there are several
    outputs, `ending` what the answers are, `answers` the type that they are rounded to at the very end, `batch` the
    batch size where that is fixed.
    """

    shape: Annotated[tuple[Annotated[int, Meta(gt=0)], ...], Meta(max_length=8)] = OUR_SHAPE
    dtype: Literal["float32", "float64", "float16", "uint8"] = "float32"
    pixels: Pixels = "unit"
    orientation: Orientation = "rows"
    output: str = ""
    ending: Ending = "logits"
    answers: AnswerType = "float32"
    batch: Annotated[int, Meta(gt=0)] | None = None

    def __post_init__(self) -> None:
        if math.prod(self.shape) != math.prod(OUR_SHAPE):
            raise ValueError(f"a shape {self.shape} that does not hold the pixels of an image")

    @property
    def is_ours(self) -> bool:
        """Whether images can stay as they are."""
        return (self.shape, self.dtype, self.pixels, self.orientation) == (OUR_SHAPE, "float32", "unit", "rows")

    @property
    def is_plain(self) -> bool:
        """Whether a worker need not know of it: images come as ours do, the only output is the answer, and as ours."""
        borders = (self.shape, self.dtype, self.output, self.answers)
        return borders == (OUR_SHAPE, "float32", "", "float32") and self.batch in (None, 1)

    def adapt(self, images: "NDArray[np.float32]") -> "NDArray[Any]":
        """Return images as the model wants them: (n, *shape) of its dtype.

        Args:
            images: float32 (n, 1, 28, 28) in [0, 1].
        """
        if self.is_ours:
            return images
        import numpy as np

        values: NDArray[Any] = images
        if self.orientation == "columns":
            values = values.swapaxes(2, 3)
        if self.pixels == "inverted":
            values = np.float32(1) - values
        elif self.pixels == "normalised":
            values = (values - np.float32(MEAN)) / np.float32(DEVIATION)
        if self.pixels == "bytes" or self.dtype == "uint8":
            values = values * np.float32(255)
            whole = np.rint(values)
            # Pixels become what they were before they were divided; what was no byte, as noise, stays what it is.
            values = whole if self.dtype == "uint8" else np.where(abs(values - whole) <= TWICE * whole, whole, values)
        return np.ascontiguousarray(values.reshape(len(images), *self.shape), self.dtype)

    def held(self, images: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """Return the nearest images that a model can be told, whose pixels are bytes or of half precision.

        Args:
            images: float32 (n, 1, 28, 28) in [0, 1].
        """
        if self.dtype not in ("uint8", "float16"):
            return images
        told = structs.replace(self, shape=OUR_SHAPE, orientation="rows").adapt(images).astype("float32")
        if self.dtype == "uint8":  # which are bytes of whatever pixels are
            return before(before(told, "bytes"), "unit" if self.pixels == "bytes" else self.pixels)
        return before(told, self.pixels)

    def said(self) -> tuple[str, ...]:
        """Return what is done to images, a phrase each; nothing where they stay as they are."""
        changes = (
            (self.shape != OUR_SHAPE, f"shape (n, {', '.join(map(str, self.shape))})"),
            (self.dtype != "float32", self.dtype),
            (self.pixels in SAID, SAID.get(self.pixels, "")),
            (self.orientation == "columns", "transposed images"),
            (self.batch, f"{self.batch} image{'s' if self.batch != 1 else ''} at a time"),
            (self.output, f"output {self.output!r}"),
            (self.ending != "logits", f"answers behind {self.ending}"),
            (self.answers != "float32", f"answers in {self.answers}"),
        )
        return tuple(said for differs, said in changes if differs)


def before(values: "NDArray[Any]", pixels: Pixels) -> "NDArray[np.float32]":
    """Return the images that are these values once they have been changed to such pixels; see `Signature.adapt`."""
    import numpy as np

    if pixels == "bytes":
        values = values / np.float32(255)
    elif pixels == "normalised":
        values = values * np.float32(DEVIATION) + np.float32(MEAN)
    elif pixels == "inverted":
        values = np.float32(1) - values
    return np.ascontiguousarray(values, np.float32)


OURS = Signature()
