"""What is asked of a session, whoever asks."""

from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_bench import hosts
from mnist_bench.core.types import Configuration
from mnist_bench.parity._asking import answer_to

GROUPS = (np.zeros((5, 1, 28, 28), np.float32), np.ones((2, 1, 28, 28), np.float32))
CONFIGURATION = Configuration(
    runtime="r", version="1", format="onnx", precision="fp32", device="cpu", provider="p", threads=1, batch_size=3
)


class Answering:
    """A worker that answers with what a function makes of the images."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.asked, self.got = answer, list[tuple[int, int]](), np.empty(0, np.float32)

    def has(self, images: NDArray[np.float32]) -> bool:
        return self.got is images

    def run(self, images: NDArray[np.float32], batch_size: int) -> NDArray[Any]:
        """Answer, and note what was asked."""
        self.asked.append((len(images), batch_size))
        self.got = images
        found: NDArray[Any] = self.answer(images)
        return found


def asked(worker: Answering) -> Any:
    effective = hosts.Inspected(provider="p", precision="fp32", arithmetic="fp16")
    return answer_to(cast("hosts.Worker", worker), GROUPS, CONFIGURATION, effective)


def test_groups_are_asked_apart_and_answered_together() -> None:
    worker = Answering(lambda images: np.full((len(images), 10), images.max(), np.float32))
    for _ in range(2):
        found = asked(worker)
        assert found.logits[:, 0].tolist() == [0] * 5 + [1] * 2
    assert worker.asked == [(5, 3), (2, 3), (2, 3), (5, 3)]  # first what it has got already
    assert (found.precision, found.arithmetic, found.saturation) == ("fp32", "fp16", None)


@pytest.mark.parametrize(
    "answer",
    [
        lambda images: np.zeros((len(images), len(images)), np.float32),
        lambda images: np.zeros((len(images), 10), np.float32 if len(images) == 5 else np.float64),
        lambda images: np.float32(0),
    ],
    ids=["of other shapes", "of other types", "no array"],
)
def test_answers_that_do_not_fit_together_are_an_answer_too(answer: Any) -> None:
    """They are compared, and found wrong; that they cannot be put together is no fault of ours."""
    assert asked(Answering(lambda images: np.asarray(answer(images)))).logits.shape != (7, 10)
