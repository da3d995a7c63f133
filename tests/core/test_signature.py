"""How images are changed for a model from elsewhere."""

import numpy as np
import pytest

from mnist_bench import data
from mnist_bench.core.signature import DEVIATION, MEAN, OURS, Signature

PIXELS = np.arange(784 * 2, dtype=np.uint64).reshape(2, 28, 28).astype(np.uint8)
IMAGES = data.to_input(PIXELS)


def test_ours_stay_the_very_same_array() -> None:
    assert OURS.is_ours
    assert OURS.adapt(IMAGES) is IMAGES
    assert OURS.said() == ()


@pytest.mark.parametrize("shape", [(784,), (28, 28), (28, 28, 1), (1, 28, 28), (1, 784)])
def test_shapes_hold_the_same_pixels_in_the_same_order(shape: tuple[int, ...]) -> None:
    found = Signature(shape=shape).adapt(IMAGES)
    assert found.shape == (2, *shape)
    assert (found.ravel() == IMAGES.ravel()).all()


def test_bytes_are_what_the_pixels_were() -> None:
    """Whatever float32 made of k / 255: it is k again."""
    for signature in (Signature(pixels="bytes"), Signature(dtype="uint8"), Signature(dtype="float16", pixels="bytes")):
        found = signature.adapt(IMAGES)
        assert found.dtype == signature.dtype
        assert (found[:, 0] == PIXELS).all()


def test_other_ranges_and_directions() -> None:
    normalised = Signature(pixels="normalised", dtype="float64").adapt(IMAGES)
    assert np.allclose(normalised, (IMAGES.astype(np.float64) - MEAN) / DEVIATION, atol=1e-6)
    assert (Signature(pixels="inverted").adapt(IMAGES) == np.float32(1) - IMAGES).all()
    assert (Signature(pixels="inverted", dtype="uint8").adapt(IMAGES)[:, 0] == 255 - PIXELS).all()
    assert (Signature(orientation="columns").adapt(IMAGES)[0, 0] == IMAGES[0, 0].T).all()


def test_what_is_done_is_said() -> None:
    signature = Signature(
        shape=(784,), dtype="float16", pixels="bytes", orientation="columns", batch=1, output="b", ending="softmax"
    )
    assert signature.said() == (
        "shape (n, 784)",
        "float16",
        "pixels from 0 to 255",
        "transposed images",
        "1 image at a time",
        "output 'b'",
        "answers behind softmax",
    )


def test_a_shape_that_holds_no_image_is_none() -> None:
    with pytest.raises(ValueError, match="does not hold the pixels"):
        Signature(shape=(32, 32))
