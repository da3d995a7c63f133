"""What a network says to somebody's picture, as tables and sentences."""

from collections.abc import Iterator, Sequence

from mnist_bench.analysis.prediction import Answer, Likeness, Prediction
from mnist_bench.core.kinds import Skipped
from mnist_bench.report._table import Cell, Column, Table, Unit

SHOWN = 3
"""So many classes of each answer are in the table on the screen, which is 80 columns wide then; CSV has them all."""


def predictions_table(found: Sequence[Prediction | tuple[str, str]], classes: Sequence[str]) -> Table:
    """Make a table for programs: a row for each picture and target, and one for each that could not be read.

    Args:
        found: what was predicted of a picture, or its name and why it could not be read.
        classes: the names of all classes; column `p0` is of the first of them.
    """
    names = ["file", "runtime", "prediction", *(f"p{place}" for place in range(len(classes)))]
    columns = [Column(name) for name in (*names, "distance", "torn", "error")]
    nothing: list[Cell] = [None] * (len(columns) - 2)
    rows: list[list[Cell]] = []
    for one in found:
        rows += _rows(one) if isinstance(one, Prediction) else [[one[0], *nothing, one[1]]]
    return Table("Predictions", columns, rows)


def _rows(one: Prediction) -> Iterator[list[Cell]]:
    distance = one.likeness.distance if isinstance(one.likeness, Likeness) else None
    for answer in one.answers:
        shares = [None] * len(one.classes) if answer.probabilities is None else answer.probabilities.tolist()
        said = one.classes[answer.order[0]] if answer.order else None
        torn = "/".join(one.classes[label] for label in answer.torn)
        yield [one.name, answer.target, said, *shares, distance, torn or None, answer.failure]


def answers_table(one: Prediction) -> Table:
    """Make the table for the screen: what each target says to a picture, and how sure it is."""
    columns = [Column("Runtime"), Column("Says"), Column("p", Unit.CERTAINTY)]
    for heading in ("Second", "Third"):
        columns += [Column(heading), Column("p", Unit.CERTAINTY)]
    return Table("What each runtime says", columns, [_row(answer, one.classes) for answer in one.answers])


def _row(answer: Answer, classes: Sequence[str]) -> list[Cell]:
    if answer.probabilities is None:
        return [answer.target, *([None] * (2 * SHOWN))]
    shares = answer.probabilities.tolist()
    return [answer.target, *(cell for label in answer.order[:SHOWN] for cell in (classes[label], shares[label]))]


def warnings(one: Prediction) -> Iterator[str]:
    """Say in sentences what a reader of a prediction must not miss."""
    reference, classes = one.answers[0], one.classes
    if between := reference.torn:
        assert reference.probabilities is not None
        names = [classes[label] for label in between]
        shares = ", ".join(f"{reference.probabilities[label]:.1%}" for label in between)
        yield f"The network is torn between {', '.join(names[:-1])} and {names[-1]}: {shares}."
    if isinstance(one.likeness, Likeness) and one.likeness.is_unlike:
        yield (
            f"It is unlike any training image: the nearest, {_named(one.likeness)}, is {one.likeness.distance:.2f} "
            f"away, and 99.9% of the test images are within {one.likeness.usual:.2f}. The answer means little."
        )
    said = classes[reference.order[0]]
    for answer in one.dissenters:
        yield f"{answer.target} says {classes[answer.order[0]]}, where the reference says {said}."
    for answer in one.answers:
        if answer.failure:
            yield f"{answer.target} says nothing: {answer.failure}"


def of_likeness(found: Likeness | Skipped) -> str:
    """Say what training image is nearest to a picture, or why that is not known; nothing where a warning says it."""
    if isinstance(found, Skipped):
        return f"Whether it is like any training image is not known: {found.reason}; {found.remedy}"
    if found.is_unlike:
        return ""
    return (
        f"The nearest training image: {_named(found)}, {found.distance:.2f} away; of the test images 99.9% are within "
        f"{found.usual:.2f}."
    )


def _named(found: Likeness) -> str:
    return f"number {found.index:,} of class {found.label}"
