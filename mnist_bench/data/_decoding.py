"""Pictures as cameras, phones and drawing programs write them, decoded by Pillow with limits."""

import importlib
import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core import text
from mnist_bench.core.errors import BadInput

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MOST_PIXELS = 2**26
"""67 million: more than a phone takes by default; decoded they have 268 MB."""
MOST_SIDE = 2048
"""Pixels: a longer picture is averaged down before it is looked at, which also quiets its noise."""


@dataclass(frozen=True)
class Decoded:
    """A picture as one looks at it: `rgba` uint8 (height, width, 4), and in words what it was and what was done."""

    rgba: NDArray[np.uint8]
    about: tuple[str, ...]


def decoded(content: bytes) -> Decoded:
    """Decode a PNG, JPEG or WebP, its first frame, turned as its EXIF says.

    Raises:
        BadInput: it is none of these, is damaged, or has too many pixels; the message continues one with its name.
    """
    from PIL import ExifTags, ImageOps

    with _explained():
        with _opened(content) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise BadInput(
                    f"has {width:,} × {height:,} pixels, and at most {MOST_PIXELS:,} are read: make it smaller"
                )
            image.load()
            frames = getattr(image, "n_frames", 1)
            about = [f"{width:,} × {height:,} {'WebP' if image.format == 'WEBP' else image.format}"]
            about += [f"the first of its {frames:,} frames"] if frames > 1 else []
            about += ["turned as its EXIF says"] if image.getexif().get(ExifTags.Base.Orientation, 1) != 1 else []
            upright = _shrunk(_of_bytes(ImageOps.exif_transpose(image)))
        return Decoded(np.asarray(upright.convert("RGBA")), tuple(about))


def _opened(content: bytes) -> "Image":
    from PIL import Image

    importlib.import_module("PIL.WebPImagePlugin")  # else Pillow imports the parsers of all formats for it
    return Image.open(io.BytesIO(content), formats=FORMATS)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn whatever Pillow raises into BadInput: its parsers raise all kinds of errors at damaged files."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it could read nevertheless
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (MemoryError, BadInput):
        raise
    except UnidentifiedImageError as error:
        raise BadInput("is not a PNG, JPEG or WebP picture: save it as one of these") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise BadInput(f"has more than {MOST_PIXELS:,} pixels: make it smaller") from error
    except Exception as error:
        raise BadInput(f"is damaged and cannot be decoded ({text.reason(str(error))}): save it again") from error


def _of_bytes(image: "Image") -> "Image":
    """Return a picture of any kind in bytes, with alpha where something is transparent."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow's own conversion would cut off at 255
        values = np.clip(np.asarray(image).astype(np.int64), 0, 65_535)
        return Image.fromarray(np.asarray((values + 128) // 257, dtype=np.uint8))
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _shrunk(image: "Image") -> "Image":
    """Average a large picture down by a whole number, so that no side is longer than MOST_SIDE."""
    factor = math.ceil(max(image.size) / MOST_SIDE)
    return image.reduce(factor) if factor > 1 else image
