"""Written answers, a module each: `build(material, options)` yields what the numbers carry, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """Sentences that are computed from a record; `evidence` names the section of the page that it opens."""

    question: str
    sentences: Sequence[str]
    evidence: str
