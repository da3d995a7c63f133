"""What a section of the page is made of; a neutral `Table`, a `Picture` and a `Skipped` are blocks too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from mnist_bench.core.kinds import Skipped
from mnist_bench.report._deployment import State
from mnist_bench.report._errors import Gallery, Image
from mnist_bench.report._table import Cell, Table
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
class Tile:
    """A number that a reader looks for first, and what it means; None where it is not known."""

    label: str
    value: str | None
    notes: Sequence[str]


@dataclass(frozen=True)
class Verdict:
    """Whether a run may be deployed, in a sentence; what speaks against it, a line each; and the numbers behind it."""

    state: State
    sentence: str
    causes: Sequence[str]
    tiles: Sequence[Tile]


@dataclass(frozen=True)
class Matrix:
    """Counts by row and column as a heat map: of true and predicted class, say, or of targets that disagree.

    `corner` says what rows and columns are. `shown` are the columns' headings, where rows have longer names.
    """

    title: str
    classes: Sequence[str]
    counts: Sequence[Sequence[int]]
    says: str
    corner: tuple[str, str] = ("true ↓", "predicted →")
    shown: Sequence[str] = ()

    def level(self, row: int, column: int) -> int:
        """Return how dark a cell is, 0 to 5: by its share of the largest count; 0 on the diagonal."""
        most = self._most
        return 0 if row == column or not most else -(-5 * self.counts[row][column] // most)

    @cached_property
    def _most(self) -> int:
        return max((n for i, line in enumerate(self.counts) for j, n in enumerate(line) if i != j), default=0)


@dataclass(frozen=True)
class Sorted:
    """A table in several orders, of which a reader chooses one: its rows, by what they are sorted."""

    table: Table
    orders: Mapping[str, Sequence[Sequence[Cell]]]


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


Shown = Verdict | Sorted | Table | Picture | Matrix | Faces | Gallery
Block = Shown | Skipped | Answer | Heading | Text | Folded | Commands
