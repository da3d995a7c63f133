import sys
from pathlib import Path

import numpy as np
import pytest

from mnist_bench import data
from mnist_bench.core.errors import BadInput


def test_digits_are_always_the_same(digits: data.Dataset) -> None:
    assert digits.train.pixels.shape == (1437, 28, 28)
    assert digits.test.pixels.shape == (360, 28, 28)
    assert digits.train.pixels.dtype == digits.train.labels.dtype == np.uint8
    assert digits.sha256 == {
        "train": "72fd455332ca413b0d44f62bfd063d0365149f74523322f7cb0d77573e08c733",
        "test": "ea3b123cb089a7cf4d410f2019ef439fef4bb37e5413a95484d5e19ecd712dcf",
    }


def test_digits_keep_every_class_in_both_parts(digits: data.Dataset) -> None:
    train, test = (np.bincount(part.labels) / len(part) for part in (digits.train, digits.test))
    np.testing.assert_allclose(train, test, atol=0.003)


def test_digits_and_mnist_never_import_torchvision(digits: data.Dataset) -> None:
    assert digits.origin == "embedded in scikit-learn"
    assert "torchvision" not in data.__dict__
    assert "torchvision" not in vars(sys.modules["mnist_bench.data._download"])


def test_input_is_pixels_over_255_in_the_network_s_shape(digits: data.Dataset) -> None:
    images = data.to_input(digits.test.pixels)
    assert images.shape == (360, 1, 28, 28)
    assert images.dtype == np.float32
    assert (images.min(), images.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(images[3, 0], digits.test.pixels[3] / np.float32(255))


def test_holdout_takes_a_twelfth_of_the_training_images_and_leaves_the_test_set(digits: data.Dataset) -> None:
    train, validation = data.training_and_validation(digits, "holdout")
    assert (len(train), len(validation)) == (1437 - 119, 119)
    together = np.concatenate([train.pixels, validation.pixels]).reshape(1437, -1)
    assert {row.tobytes() for row in together} == {row.tobytes() for row in digits.train.pixels.reshape(1437, -1)}


def test_the_protocol_watches_the_test_set(digits: data.Dataset) -> None:
    train, validation = data.training_and_validation(digits, "test")
    assert train is digits.train
    assert validation is digits.test


def test_an_unknown_dataset_is_refused() -> None:
    with pytest.raises(BadInput, match="choose from digits, fashion, kmnist, mnist"):
        data.load("imagenet")


@pytest.mark.mnist
def test_mnist_is_mnist(mnist_root: Path) -> None:
    mnist = data.load("mnist", mnist_root)
    assert mnist.train.pixels.shape == (60_000, 28, 28)
    assert np.bincount(mnist.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert mnist.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert abs(mnist.train.pixels.mean() / 255 - 0.1307) < 1e-4  # the mean that everybody normalises by


@pytest.mark.mnist
def test_mnist_s_holdout_is_5000_images(mnist_root: Path) -> None:
    train, validation = data.training_and_validation(data.load("mnist", mnist_root), "holdout")
    assert (len(train), len(validation)) == (55_000, 5_000)
