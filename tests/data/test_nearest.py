"""The training image nearest to an image."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from mnist_bench import data
from mnist_bench.data import _nearest


def test_it_is_the_nearest_of_all_and_as_far_as_it_is(digits: data.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_nearest, "BLOCK", 100)  # of several blocks
    asked = digits.test.pixels[:50]
    found = data.nearest(asked, digits.train)
    every = cdist(asked.reshape(50, -1) / 255, digits.train.pixels.reshape(len(digits.train), -1) / 255)
    np.testing.assert_array_equal(found.indices, every.argmin(axis=1))
    np.testing.assert_allclose(found.distances, every.min(axis=1), rtol=1e-6)


def test_a_training_image_is_its_own_nearest(digits: data.Dataset) -> None:
    found = data.nearest(digits.train.pixels[[7, 1400]], digits.train)
    assert found.indices.tolist() == [7, 1400]
    assert found.distances.tolist() == [0, 0]


def test_what_is_usual_is_measured_or_stated(digits: data.Dataset) -> None:
    distances = np.sort(data.nearest(digits.test.pixels, digits.train).distances)
    assert data.usual_distance(digits) == distances[-1]  # 99.9% of 360
    assert data.usual_distance(replace(digits, usual_distance=3.0)) == 3


@pytest.mark.mnist
def test_what_mnist_states_is_what_its_test_images_have(mnist_root: Path) -> None:
    """All but nine are within it. Nearly all have an image of their own class so near: these need no other."""
    dataset = data.load("mnist", mnist_root)
    stated = dataset.usual_distance
    assert stated
    candidates = []
    for label in range(10):
        asked, known = (part.pixels[part.labels == label] for part in (dataset.test, dataset.train))
        near = data.nearest(asked, data.Images(known, np.full(len(known), label, np.uint8)))
        candidates += [asked[near.distances > stated - 0.01]]
    distances = np.sort(data.nearest(np.concatenate(candidates), dataset.train).distances)
    assert stated == pytest.approx(distances[-10], abs=0.0001)
