"""A question that a reader has, and what the record says to it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """Sentences that are computed from a record; `evidence` names the section of the page that shows the numbers."""

    question: str
    sentences: Sequence[str]
    evidence: str
