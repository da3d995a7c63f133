"""Which images a network gets wrong, and what they look like."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mnist_bench.analysis.classes import names
from mnist_bench.core.commands import resume_command
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import FinalMeasurement, Predictions, Record
from mnist_bench.data import Dataset
from mnist_bench.report._material import Material

Nearest = dict[int, tuple[int, float]]


@dataclass(frozen=True)
class Image:
    """A picture of a dataset's image: `key` names it on the page, `png` is a data URI."""

    key: str
    png: str


@dataclass(frozen=True)
class Mistake:
    """A test image that is misclassified, beside the training images most like it.

    `labels` are the true and the predicted class, whose names are `true` and `predicted`. `margin` is the predicted
    class's logit minus the true class's; `like_predicted` and `like_true` are the nearest training images of these
    classes, by Euclidean distance of the pixels, with these distances in [0, 28]; None, and infinitely far, where an
    output without a class was predicted.
    """

    index: int
    labels: tuple[int, int]
    true: str
    predicted: str
    margin: float
    image: Image
    like_predicted: Image | None
    distance_predicted: float
    distance_true: float

    @property
    def pair(self) -> str:
        """The true and the predicted class."""
        return f"{self.true} → {self.predicted}"

    @property
    def looks_like_it(self) -> bool:
        """Whether the nearest training image of the predicted class is nearer than any of the true one."""
        return self.distance_predicted < self.distance_true


@dataclass(frozen=True)
class Gallery:
    """All mistakes of a run, the most confident first."""

    run: str
    mistakes: Sequence[Mistake]

    @property
    def images(self) -> list[Image]:
        """Every image once."""
        found = {image.key: image for one in self.mistakes for image in (one.image, one.like_predicted) if image}
        return list(found.values())

    @property
    def by_pair(self) -> dict[str, list[Mistake]]:
        """The mistakes by true and predicted class, the most frequent pair first, then in the order of the classes."""
        groups: dict[str, list[Mistake]] = {}
        for one in self.mistakes:
            groups.setdefault(one.pair, []).append(one)
        return dict(sorted(groups.items(), key=lambda group: (-len(group[1]), group[1][0].labels)))


def misclassified(found: Predictions) -> list[int]:
    """Return the indices of the misclassified images, the most confident mistake first."""
    answers = enumerate(zip(found.labels, found.predictions, strict=True))
    wrong = [index for index, (label, prediction) in answers if label != prediction]
    return sorted(wrong, key=lambda index: found.margins[index])


def galleries(material: Material) -> Iterator[Gallery | Skipped]:
    """Make a gallery per finished run; or say why its images cannot be shown."""
    for record in material.records:
        if record.final is None:
            yield Skipped(
                f"the mistakes of {record.name}", "training is not finished", resume_command(record, material.out)
            )
        elif isinstance(material.dataset, Skipped):
            yield Skipped(f"the mistakes of {record.name}", material.dataset.reason, material.dataset.remedy)
        else:
            yield _gallery(record, record.final, material.dataset)


def _gallery(record: Record, final: FinalMeasurement, dataset: Dataset) -> Gallery:
    found = final.predictions
    wrong = misclassified(found)
    of_true = _nearest(dataset, wrong, found.labels)
    of_predicted = _nearest(dataset, wrong, found.predictions)
    called = names(record)
    mistakes = [
        Mistake(
            index=index,
            labels=(found.labels[index], found.predictions[index]),
            true=called[found.labels[index]],
            predicted=called[found.predictions[index]],
            margin=-found.margins[index],
            image=image_of(f"test-{index}", dataset.test.pixels[index]),
            like_predicted=_training_image(dataset, of_predicted.get(index)),
            distance_predicted=of_predicted[index][1] if index in of_predicted else float("inf"),
            distance_true=of_true[index][1],
        )
        for index in wrong
    ]
    return Gallery(record.name, mistakes)


def _training_image(dataset: Dataset, nearest: tuple[int, float] | None) -> Image | None:
    return image_of(f"train-{nearest[0]}", dataset.train.pixels[nearest[0]]) if nearest else None


def _nearest(dataset: Dataset, wrong: list[int], classes: tuple[int, ...]) -> Nearest:
    """Return, for some test images, the nearest training image of a class given for each, and its distance.

    Those of a class without training images are left out.
    The distance is Euclidean over pixels in [0, 1], as scikit-learn computes it.
    """
    from sklearn.metrics import pairwise_distances_argmin_min

    found: Nearest = {}
    for label in sorted({classes[index] for index in wrong}):
        asked = [index for index in wrong if classes[index] == label]
        known = np.flatnonzero(dataset.train.labels == label)
        if not len(known):
            continue
        places, distances = pairwise_distances_argmin_min(
            _flat(dataset.test.pixels[asked]), _flat(dataset.train.pixels[known])
        )
        found |= dict(zip(asked, zip(known[places].tolist(), distances.tolist(), strict=True), strict=True))
    return found


def _flat(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return pixels.reshape(len(pixels), -1).astype(np.float32) / np.float32(255)


def image_of(key: str, pixels: NDArray[np.uint8]) -> Image:
    """Make a picture, dark ink on white, of an image uint8 (28, 28)."""
    return Image(key, _data_uri(pixels.tobytes(), pixels.shape))


@lru_cache(4096)
def _data_uri(pixels: bytes, shape: tuple[int, ...]) -> str:
    """Return dark ink on white, as a PNG in a data URI."""
    from PIL import Image as Pillow

    content = io.BytesIO()
    ink = 255 - np.frombuffer(pixels, np.uint8).reshape(shape)
    Pillow.fromarray(ink).save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
