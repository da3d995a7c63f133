import msgspec
import pytest

from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import Predictions, Tally, TrainConfig


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", -1),
        ("threads", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("dropout", 1.0),
        ("seed", -1),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(field: str, value: float) -> None:
    with pytest.raises(BadInput, match=field):
        TrainConfig(**{field: value})  # type: ignore[arg-type]


def test_loss_and_accuracy_are_means_over_images() -> None:
    tally = Tally(loss_sum=30.0, correct=15, images=20)
    assert (tally.loss, tally.accuracy) == (1.5, 0.75)


def test_records_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Tally().images = 3  # type: ignore[misc]


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(b'{"loss_sum": 1, "surprise": 2}', type=Tally)


def test_predictions_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        Predictions(labels=(1, 2), predictions=(1,), margins=(0.5,))


def test_what_was_skipped_tells_reason_and_remedy() -> None:
    assert str(Skipped("cuda", "no GPU", "use --device cpu")) == "cuda: skipped: no GPU; use --device cpu"
