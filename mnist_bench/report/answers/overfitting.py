"""Does it overfit, and how can one tell?"""

from collections.abc import Iterator

from mnist_bench.core.types import FinalMeasurement, Record
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.answers import Answer
from mnist_bench.report.views.training.overfitting import RULE, verdict

ORDER = 5
QUESTION = "Does it overfit, and how can one tell?"


def build(material: Material, _options: ViewOptions) -> Iterator[Answer]:
    """The verdict of each run, what it rests on, and why the usual gap misleads."""
    begun = [record for record in material.records if record.epochs]
    if begun:
        sentences = [verdict(record) for record in begun]
        sentences += [_misled(record, record.final) for record in begun if record.final]
        yield Answer(QUESTION, [*sentences, RULE], "overfitting")


def _misled(record: Record, final: FinalMeasurement) -> str:
    last = record.epochs[-1]
    running, true = (accuracy - last.validation.accuracy for accuracy in (last.train.accuracy, final.train.accuracy))
    return (
        f"The training accuracy that {record.name} showed during training, {last.train.accuracy:.2%}, is an average "
        f"over a changing network with dropout on. Measured again at the end with dropout off, it is "
        f"{final.train.accuracy:.2%}. So the gap that a naive training loop prints, {100 * running:+.2f} points, is "
        f"{100 * abs(true - running):.2f} points {'less' if running < true else 'more'} than the true gap, "
        f"{100 * true:+.2f}."
    )
