"""Pictures from anywhere, read in a process of its own and prepared as MNIST's images were."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from mnist_bench.core import limits, text
from mnist_bench.core.errors import BadInput
from mnist_bench.core.reading import read_regular
from mnist_bench.data._decoding import decoded
from mnist_bench.data._preparing import SIDE, Ground, close_up, fitted, ink_of, is_prepared, lightness

CHUNK, TIME_LIMIT_S, MEMORY_LIMIT_BYTES = 32, 60.0, 4 * 1024**3
"""So many pictures share a process, which may take so long for all of them, and so much memory."""
WEAK = 200
"""Of 255: below this much contrast it is said that it was raised."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a picture comes from: a path, or its content where there is none; `name` is what messages call it."""

    name: str
    path: str | None = None
    content: bytes = b""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Which pictures to read, and how; see `picture`."""

    sources: tuple[Source, ...]
    ground: Ground = "auto"
    as_is: bool = False


class Picture(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A picture as the network gets it: 784 bytes; `about` says in words what it was and what was done to it."""

    content: bytes
    about: tuple[str, ...]

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The image: uint8 (28, 28), light ink on black."""
        return np.frombuffer(self.content, np.uint8).reshape(SIDE, SIDE)


class Unreadable(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Why a picture cannot be read, in one line with its name."""

    reason: str


def picture(content: bytes, name: str, ground: Ground = "auto", *, as_is: bool = False) -> Picture:
    """Decode a picture and prepare it as MNIST's images were.

    Args:
        content: a PNG, JPEG or WebP.
        name: what messages call it.
        ground: whether the ground is light or dark; auto lets the picture tell.
        as_is: it is 28 × 28 pixels already and nothing is to be done to it.

    Raises:
        BadInput: it cannot be decoded, nothing is drawn on it, or it is not 28 × 28 pixels where that is asked for.
    """
    try:
        return _prepared(content, ground, as_is=as_is)
    except BadInput as error:
        raise BadInput(f"{name} {error}") from error


def _prepared(content: bytes, ground: Ground, *, as_is: bool) -> Picture:
    """See `picture`; an error's message continues one that begins with the name."""
    found = decoded(content)
    light, in_alpha = lightness(found.rgba)
    if as_is or is_prepared(light):
        return Picture(content=_whole(light), about=(*found.about, "taken as it is"))
    ink = ink_of(close_up(light, ground), ground)
    pixels = fitted(ink.pixels)
    if pixels is None:
        raise BadInput("has only one colour, or nearly so: there is nothing drawn on it")
    steps = ["drawn in what is not transparent"] if in_alpha else []
    steps += ["inverted, since its ground is light"] if ink.inverted and not in_alpha else []
    steps += [f"contrast raised from {ink.contrast / 255:.0%}"] if ink.contrast < WEAK else []
    return Picture(content=pixels.tobytes(), about=(*found.about, *steps, "fitted into 20 × 20, centred by mass"))


def _whole(light: NDArray[np.uint8]) -> bytes:
    if light.shape != (SIDE, SIDE):
        height, width = light.shape
        raise BadInput(f"has {width:,} × {height:,} pixels: only {SIDE} × {SIDE} can be taken as they are")
    return light.tobytes()


def read_pictures(
    sources: Sequence[Source], ground: Ground = "auto", *, as_is: bool = False
) -> list[Picture | Unreadable]:
    """Read pictures and prepare them, in processes with limits on time and memory; see `picture`.

    Returns:
        For each source its picture, or why it cannot be read: one that is damaged does not stop the others.
    """
    chunks = [tuple(sources[start : start + CHUNK]) for start in range(0, len(sources), CHUNK)]
    return [found for chunk in chunks for found in _in_a_child(Reading(sources=chunk, ground=ground, as_is=as_is))]


def _in_a_child(reading: Reading) -> list[Picture | Unreadable]:
    """Read pictures in one process; where it fails, those of each half in one of their own, to find the one."""
    from mnist_bench.core import child

    sources = reading.sources
    try:
        return child.call(
            f"{__name__}:serve",
            reading,
            list[Picture | Unreadable],
            time_limit_s=TIME_LIMIT_S,
            memory_limit_bytes=MEMORY_LIMIT_BYTES,
            died_exit_code=BadInput.exit_code,
        )
    except child.ChildFailed as error:
        if len(sources) == 1:
            return [Unreadable(reason=text.line(f"{sources[0].name} cannot be decoded: {error}"))]
    halves = sources[: len(sources) // 2], sources[len(sources) // 2 :]
    return [found for half in halves for found in _in_a_child(msgspec.structs.replace(reading, sources=half))]


def serve(reading: Reading) -> list[Picture | Unreadable]:
    """Read pictures; runs in a process of its own."""
    return [_read(source, reading) for source in reading.sources]


def _read(source: Source, reading: Reading) -> Picture | Unreadable:
    try:
        return picture(_content(source), source.name, reading.ground, as_is=reading.as_is)
    except BadInput as error:
        return Unreadable(reason=text.line(str(error)))  # a name may hold what no JSON can


def _content(source: Source) -> bytes:
    if source.path is None:
        return source.content
    try:
        return read_regular(Path(source.path), limits.PICTURE_BYTES)
    except OSError as error:
        raise BadInput(f"{source.name} cannot be read: {error.strerror}") from error
