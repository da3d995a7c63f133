"""From how light a picture is to 28 × 28 pixels, as MNIST's were made: fitted into 20 × 20, then centred by mass.

How MNIST's were made: http://yann.lecun.com/exdb/mnist/. The page of `export --format web` takes the same steps, in
`formats/_web/preparing.js`; a test compares the two.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SIDE, INNER = 28, 20
FAINT = 16
"""Of 255: a smaller difference from the ground is no ink."""
FAINT_SHARE = 5
"""Nor is less than one part in so many of the largest difference: shadows of a photograph."""
NOISE = 7
"""Nor what is less than so many times the median difference on the border: of normal noise that is 4.7 deviations."""
LARGE = 280
"""Pixels: longer pictures are looked at twice, in whole and what is drawn; the page scales to this."""
DARKEST = 254
"""Every image of MNIST has a pixel of 254 or 255."""
LUMA = np.array([0.299, 0.587, 0.114])
"""What red, green and blue add to lightness: Rec. ITU-R BT.601-7, 2.5.1."""
OPAQUE, HARDLY_SEEN = 128, 64
CENTRE = SIDE / 2 + 0.5
"""MNIST's centre of mass has the index 14, counted from 0: the middle of pixel 14, so 14.5 from the edge and not 14."""

Ground = Literal["auto", "light", "dark"]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ink:
    """How much ink each pixel has, uint8 (height, width), 255 being the most.

    `inverted`: whether it is darker than its ground; `contrast` is the largest difference from that, of 255.
    """

    pixels: Bytes
    inverted: bool
    contrast: int


def rounded(values: Floats) -> Bytes:
    """Round to whole numbers, halves up: as JavaScript does."""
    return np.asarray(np.floor(values + 0.5), dtype=np.uint8)


def is_prepared(light: Bytes) -> bool:
    """Tell whether a picture is light on black and placed as MNIST's images are: nothing has to be done to it."""
    if light.shape != (SIDE, SIDE) or light.max() < DARKEST:
        return False
    centre = np.array(_centre(light.astype(np.float64)))
    return max(_cropped(light).shape) <= INNER and bool(np.abs(centre - CENTRE).max() <= 1)


def close_up(light: Bytes, ground: Ground = "auto") -> Bytes:
    """Cut out of a large picture what is drawn, with ground around it, and average it down to some 280 pixels a side.

    That quiets noise, and evens out light and shadow on the rest of a sheet; what is small on it keeps its strokes.
    """
    factor = math.ceil(max(light.shape) / LARGE)
    if factor == 1:
        return light
    coarse = _averaged(light, factor)
    ink = ink_of(coarse, ground).pixels
    if not ink.any():
        return coarse
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) * factor for axis in (1, 0))
    margin = (max(np.ptp(rows), np.ptp(columns)) + factor) // 5 + factor
    top, left = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
    cut = light[top : rows[-1] + factor + margin, left : columns[-1] + factor + margin]
    return _averaged(cut, math.ceil(max(cut.shape) / LARGE))


def ink_of(light: Bytes, ground: Ground = "auto") -> Ink:
    """Return how much each pixel differs from the ground.

    Ink lies on that side of the ground on which there is more of it, or on the other side of a `ground` that is named.

    Args:
        light: how light each pixel is, uint8 (height, width).
        ground: whether the ground is light or dark; auto lets the picture tell.
    """
    differences = np.floor(light - _ground(light) + 0.5)
    if ground != "auto":
        side = -1 if ground == "light" else 1
        differences = side * np.maximum(side * differences, 0)
    sizes = np.abs(differences)
    noise = NOISE * _median(sizes[_border(light.shape)])
    faint = max(FAINT, sizes.max() / FAINT_SHARE, min(noise, sizes.max() / 2))
    # Faint things do not count, which may be everywhere.
    total = differences.sum(where=sizes >= faint)
    strength = -differences if total < 0 else differences
    darkest = max(int(strength.max()), 1)
    pixels = rounded(255 * np.where(strength < faint, 0, strength) / darkest)
    return Ink(pixels, bool(total < 0), darkest)


def _ground(light: Bytes) -> Floats:
    """Return how light the ground is, which the border shows: level, or a slope where light falls from one side.

    A side whose median is far from that of the whole border is inked, and says nothing.
    """
    height, width = light.shape
    level = _median(light[_border(light.shape)])
    most = max(2 * FAINT, float(np.abs(light - level).max()) / 3)
    medians = map(_median, (light[:, 0], light[:, -1], light[0], light[-1]))
    left, right, top, bottom = (found if abs(found - level) <= most else level for found in medians)
    across, down = ((np.arange(size) + 0.5) / size - 0.5 for size in (width, height))
    sloping: Floats = (right - left) * across + (bottom - top) * down[:, None]
    return (left + right + top + bottom) / 4 + sloping


def _averaged(light: Bytes, factor: int) -> Bytes:
    """Average squares of `factor` pixels, smaller ones at the right and at the bottom."""
    rows, columns = (np.arange(0, size, factor) for size in light.shape)
    sums = np.add.reduceat(np.add.reduceat(light.astype(np.float64), rows), columns, axis=1)
    height, width = light.shape
    return rounded(sums / np.outer(np.diff(rows, append=height), np.diff(columns, append=width)))


def fitted(ink: Bytes) -> Bytes | None:
    """Return ink, uint8 (height, width), as the network gets it: uint8 (28, 28); None where there is none."""
    if not ink.any():
        return None
    cut = _cropped(ink)
    rows, columns = (max(1, int(np.floor(size * INNER / max(cut.shape) + 0.5))) for size in cut.shape)
    small = _shares(cut.shape[0], rows) @ cut @ _shares(cut.shape[1], columns).T
    darkest = small.max()
    if np.floor(darkest + 0.5) < DARKEST:
        small *= 255 / darkest  # a thin stroke that averaging has made faint
    top, left = (_shift(centre, size) for centre, size in zip(_centre(small), small.shape, strict=True))
    found = np.zeros((SIDE, SIDE), np.uint8)
    found[top : top + rows, left : left + columns] = rounded(small)
    return found


def lightness(rgba: Bytes) -> tuple[Bytes, bool]:
    """Return how light each pixel of RGBA, uint8 (height, width, 4), is; and whether that is its alpha alone.

    What is transparent shows the ground: that of an opaque border; else black below what is light, else white.
    """
    alpha = rgba[..., 3]
    if _is_in_alpha(rgba):
        return alpha, True
    own = rgba[..., :3] @ LUMA
    opaque = alpha.astype(np.float64)
    return rounded((own * opaque + _paper(own, alpha) * (255 - opaque)) / 255), False


def _is_in_alpha(rgba: Bytes) -> bool:
    """Tell whether all that can be seen has nearly one colour, and its alpha alone tells ink from ground."""
    alpha = rgba[..., 3]
    if np.ptp(alpha) < FAINT:
        return False
    seen = rgba[alpha >= HARDLY_SEEN][:, :3]  # of what is hardly seen the colour says nothing
    return len(seen) == 0 or bool(np.ptp(seen, axis=0).max() < 2 * FAINT)


def _paper(own: Floats, alpha: Bytes) -> float:
    """Return what lies below a picture that is transparent in places."""
    border = _border(alpha.shape)
    opaque = alpha[border] >= OPAQUE
    if 2 * np.count_nonzero(opaque) >= len(opaque):
        return _median(own[border][opaque])
    weights = alpha.astype(np.float64)
    return 0.0 if (own * weights).sum() > 255 / 2 * weights.sum() else 255.0


def _border(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    border = np.ones(shape, np.bool_)
    border[1:-1, 1:-1] = False
    return border


def _median(values: NDArray[Any]) -> float:
    """Return the median; of an even number of values the upper one of the two in the middle."""
    return float(np.sort(values)[len(values) // 2])


def _cropped(ink: Bytes) -> Bytes:
    """Cut out what is inked, however faintly: MNIST's images fit into 20 × 20 with their faintest pixels."""
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _shares(size: int, count: int) -> Floats:
    """Return what averages over `count` equal parts of `size` pixels: (count, size), each row with the sum 1."""
    step, pixels = size / count, np.arange(size)
    begins = (np.arange(count) * step)[:, None]
    overlaps = np.minimum(pixels + 1, begins + step) - np.maximum(pixels, begins)
    return np.asarray(np.maximum(overlaps, 0) / step, dtype=np.float64)


def _centre(ink: Floats) -> tuple[float, float]:
    """Return the centre of mass, down and across, in pixels from the edges."""
    down, across = (ink.sum(axis=axis) for axis in (1, 0))
    mass = ink.sum()
    return down @ (np.arange(len(down)) + 0.5) / mass, across @ (np.arange(len(across)) + 0.5) / mass


def _shift(centre: float, size: int) -> int:
    """Return where ink has to begin so that its centre of mass is where MNIST's is; nothing is cut off.

    What lies half-way between two places goes to the first, also where the sums are not quite exact.
    """
    return min(max(int(np.ceil(CENTRE - centre - 0.5 - 1e-6)), 0), SIDE - size)
