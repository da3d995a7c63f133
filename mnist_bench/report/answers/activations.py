"""What does Sigmoid change?"""

from collections.abc import Iterator, Sequence

from mnist_bench.analysis import study
from mnist_bench.analysis.learning import accuracy_after, first_epoch_at, protocol_differences, unlike
from mnist_bench.core.stats import mcnemar
from mnist_bench.core.study_types import StudyRecord
from mnist_bench.core.types import FinalMeasurement, Record
from mnist_bench.report._material import Material
from mnist_bench.report._study import verdict
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.answers import Answer

ORDER = 6
ALPHA = 0.05
QUESTION = "What does Sigmoid change?"


def build(material: Material, options: ViewOptions) -> Iterator[Answer]:
    """For one ReLU and one Sigmoid run: accuracy image by image, and how soon it is reached."""
    by_activation = {record.config.activation: record for record in material.records}
    if set(by_activation) != {"relu", "sigmoid"} or len(material.records) != len(by_activation):
        return
    if any(record.imported for record in material.records):
        return
    relu, sigmoid = by_activation["relu"], by_activation["sigmoid"]
    if relu.final and sigmoid.final and relu.dataset.sha256 == sigmoid.dataset.sha256:
        sentences = [
            *_accuracy(relu.final, sigmoid.final),
            *_seeds(material.studies, relu),
            *_speed(relu, sigmoid, options),
            *unlike([relu, sigmoid]),
        ]
        yield Answer(QUESTION, sentences, "comparison")


def _accuracy(relu: FinalMeasurement, sigmoid: FinalMeasurement) -> Iterator[str]:
    answers = zip(relu.predictions.labels, relu.predictions.predictions, sigmoid.predictions.predictions, strict=True)
    right = [(label == one, label == other) for label, one, other in answers]
    only_relu, only_sigmoid = right.count((True, False)), right.count((False, True))
    p = mcnemar(only_relu, only_sigmoid)
    yield (
        f"Test accuracy is {relu.test.accuracy:.2%} with ReLU and {sigmoid.test.accuracy:.2%} with Sigmoid: "
        f"{_points(sigmoid.test.accuracy - relu.test.accuracy)}."
    )
    yield (
        f"{only_relu:,} images are correct only with ReLU and {only_sigmoid:,} only with Sigmoid. If both networks "
        f"were equally accurate, a split this uneven would have probability {p:.2g} (exact McNemar test): "
        f"{'' if p < ALPHA else 'no '}more than the choice of test images explains."
    )


def _seeds(studies: Sequence[StudyRecord], run: Record) -> Iterator[str]:
    """Say what the same comparison over many seeds showed; or that one seed cannot tell."""
    paired = [(record, found) for record in studies if (found := study.paired(record))]
    for record, found in paired:
        other = protocol_differences(record, run)
        but = f", trained with another {' and another '.join(other)} than these runs" if other else ""
        yield f"Over the {len(found.seeds)} seeds of {record.name}{but}: {verdict(found)}"
    if not paired:
        yield "Each is one training from one seed, which says nothing about other seeds: mnist-bench study does."


def _speed(relu: Record, sigmoid: Record, options: ViewOptions) -> Iterator[str]:
    level = options.convergence_at
    reached = [first_epoch_at(record, level) for record in (relu, sigmoid)]
    words = [f"in epoch {epoch}" if epoch else "in no epoch" for epoch in reached]
    yield f"ReLU reaches {100 * level:g}% validation accuracy {words[0]}, Sigmoid {words[1]}."
    first = [accuracy_after(record, 1) for record in (relu, sigmoid)]
    if first[0] is not None and first[1] is not None:
        yield f"After the first epoch their accuracy is {first[0]:.2%} and {first[1]:.2%}."


def _points(difference: float) -> str:
    points = 100 * abs(difference)
    return f"{points:.2f} points {'less' if difference < 0 else 'more'}" if difference else "the same"
