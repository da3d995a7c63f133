"""What a section of the page is made of; a neutral `Table`, a `Picture` and a `Skipped` are blocks too."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mnist_bench.core.kinds import Skipped
from mnist_bench.report._errors import Gallery, Image
from mnist_bench.report._table import Table
from mnist_bench.report.answers import Answer
from mnist_bench.report.figures._style import Picture


@dataclass(frozen=True)
class Heading:
    """A heading within a section: usually a run's name."""

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Folded:
    """Blocks that are shown when they are asked for, and on paper."""

    title: str
    blocks: "Sequence[Block]"


@dataclass(frozen=True)
class Matrix:
    """Counts by true class (rows) and predicted class (columns)."""

    title: str
    classes: Sequence[str]
    counts: Sequence[Sequence[int]]
    says: str

    def level(self, row: int, column: int) -> int:
        """Return how dark a cell is, 0 to 5: by its share of the most frequent confusion; 0 on the diagonal."""
        most = max((n for i, line in enumerate(self.counts) for j, n in enumerate(line) if i != j), default=0)
        return 0 if row == column or not most else -(-5 * self.counts[row][column] // most)


@dataclass(frozen=True)
class Faces:
    """Images of a dataset, each with its caption."""

    title: str
    images: Sequence[tuple[Image, str]]


@dataclass(frozen=True)
class Commands:
    """Command lines to copy."""

    title: str
    lines: Sequence[str]
    notes: Sequence[str] = field(default=())


Block = Table | Picture | Skipped | Answer | Heading | Text | Folded | Matrix | Faces | Gallery | Commands
