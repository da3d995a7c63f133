"""One image of a dataset from one PNG file, which may be anybody's: its header is read before it is decoded."""

import io
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core import limits
from mnist_bench.core.errors import DataDamaged
from mnist_bench.core.reading import read_regular
from mnist_bench.core.text import line, reason
from mnist_bench.data._arrays import SIDE
from mnist_bench.data._format import otherwise

if TYPE_CHECKING:
    from PIL.Image import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_AT, HEADER = 12, struct.Struct(">4sIIB")  # W3C PNG 11.2.1: IHDR, width, height, bits a sample
DEEP, OPAQUE = 16, 255


def pixels(path: Path) -> NDArray[np.uint8]:
    """Read an image of 28 × 28 pixels as uint8 (28, 28), colours as their brightness (ITU-R 601-2).

    Raises:
        DataDamaged: it is no such PNG.
        OSError: it cannot be read, is a link, or is too large.
    """
    content = read_regular(path, limits.IMAGE_BYTES, links=False)
    _check_header(path, content)
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            image.load()
            if _is_transparent(image):
                raise DataDamaged(f"{_named(path)} is transparent in places: save it with a background")
            return np.asarray(image.convert("L"), np.uint8)
    # What Pillow raises, by its source; a decompression bomb in a text of the file is a ValueError.
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error, zlib.error) as error:
        if isinstance(error, DataDamaged):
            raise
        raise DataDamaged(f"{_named(path)} is a damaged PNG ({reason(str(error))}): replace it") from error


def _check_header(path: Path, content: bytes) -> None:
    """Raise DataDamaged where a file is no PNG of the right size, before anything of it is unpacked."""
    if not content.startswith(SIGNATURE) or len(content) < HEADER_AT + HEADER.size:
        raise DataDamaged(f"{_named(path)} is {otherwise(content) or 'no PNG, whatever its name says: replace it'}")
    kind, width, height, bits = HEADER.unpack_from(content, HEADER_AT)
    if kind != b"IHDR":
        raise DataDamaged(f"{_named(path)} is a damaged PNG (it does not begin with its header): replace it")
    if (width, height) != (SIDE, SIDE):
        raise DataDamaged(
            f"{_named(path)} has {width:,} × {height:,} pixels, not {SIDE} × {SIDE}: resize all images to that first"
        )
    if bits == DEEP:
        raise DataDamaged(f"{_named(path)} has 16 bits a sample: save all images with 8")


def _is_transparent(image: "Image") -> bool:
    """Tell whether any pixel lets something shine through that the file does not say."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return False
    return bool(np.asarray(image.convert("RGBA"))[..., 3].min() < OPAQUE)


def _named(path: Path) -> str:
    return line(str(path))
