"""Pictures that tests make: a capital L, which no turning or mirroring leaves as it is."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

BOX = (60, 30, 140, 170)
"""Of the L, in pixels of 200 × 200: left, top, right, bottom."""


def drawing(
    ink: Any = "black", ground: Any = "white", mode: str = "RGB", second: Any = None, at: int = 0
) -> Image.Image:
    """Draw an L, 200 × 200; its foot in a `second` colour, if there is one, and all of it moved right and down."""
    made = Image.new(mode, (200, 200), ground)
    pen = ImageDraw.Draw(made)
    pen.rectangle([60 + at, 30 + at, 79 + at, 169 + at], fill=ink)
    pen.rectangle([80 + at, 150 + at, 139 + at, 169 + at], fill=second or ink)
    return made


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return a picture's file."""
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def of_pixels(pixels: np.ndarray[Any, Any]) -> bytes:
    """Return a PNG of grey pixels, 8 or 16 bits each."""
    return encoded(Image.fromarray(pixels))


def claiming(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that says it has so many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0" * 1000)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
