"""Which digits are confused, and why these?"""

from collections.abc import Iterator
from statistics import median

from mnist_bench.core.kinds import Skipped
from mnist_bench.report._errors import Gallery, Mistake, galleries
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.answers import Answer

ORDER = 7
QUESTION = "Which classes are confused, and why these?"
NAMED = 3


def build(material: Material, _options: ViewOptions) -> Iterator[Answer]:
    """Per run with its images: the most frequent pairs, how sure the network was, and what the images look like."""
    for gallery in galleries(material):
        if not isinstance(gallery, Skipped) and gallery.mistakes:
            question = QUESTION if len(material.records) == 1 else f"{QUESTION[:-1]}, in {gallery.run}?"
            yield Answer(question, list(_sentences(gallery)), "errors")


def _sentences(gallery: Gallery) -> Iterator[str]:
    total = len(gallery.mistakes)
    pairs, as_often = _foremost(gallery)
    named = ", ".join(f"{pair} ({len(mistakes)})" for pair, mistakes in pairs)
    share = sum(len(mistakes) for _, mistakes in pairs) / total
    more = f", and {as_often} more as often" if as_often else ""
    yield f"The most frequent of {total:,} mistakes, true → predicted: {named}{more}. These make up {share:.0%} of all."
    margins = [one.margin for one in gallery.mistakes]
    yield (
        f"The wrong class won by {median(margins):.2f} logits in the median, by {max(margins):.2f} in the most "
        f"confident mistake and by {min(margins):.2f} in the closest."
    )
    alike = sum(one.looks_like_it for one in gallery.mistakes)
    yield (
        f"{alike:,} of these images ({alike / total:.0%}) are closer to a training image of the predicted class than "
        f"to any of their own class (Euclidean distance of the pixels): a nearest-neighbour classifier makes the same "
        f"mistake. For the pair {pairs[0][0]} that is {_alike(pairs[0][1])}."
    )


def _foremost(gallery: Gallery) -> tuple[list[tuple[str, list[Mistake]]], int]:
    """Return the most frequent pairs, and how many more are as frequent as the last: none, but where all are."""
    pairs = list(gallery.by_pair.items())
    counts = [len(mistakes) for _, mistakes in pairs]
    if len(pairs) <= NAMED or counts[NAMED - 1] > counts[NAMED]:
        return pairs[:NAMED], 0
    ahead = sum(count > counts[NAMED] for count in counts)
    return (pairs[:ahead], 0) if ahead else (pairs[:NAMED], counts.count(counts[0]) - NAMED)


def _alike(mistakes: list[Mistake]) -> str:
    return f"{sum(one.looks_like_it for one in mistakes)} of {len(mistakes)}"
