"""What MLPerf LoadGen said of a session under load."""

from dataclasses import dataclass
from pathlib import Path

from mnist_bench.core.types import Configuration


@dataclass(frozen=True)
class Loaded:
    """What LoadGen says of a configuration: its summary's lines by name, and the file that was kept."""

    configuration: Configuration
    scenario: str
    summary: dict[str, str]
    path: Path

    @property
    def valid(self) -> bool:
        """Whether LoadGen accepts the result."""
        return self.summary.get("Result is") == "VALID"


def parse_summary(text: str) -> dict[str, str]:
    """Return the lines `name : value` of LoadGen's summary, and those `name: value` of its early stopping."""
    parts = (line.partition(":") for line in text.splitlines())
    return {name.strip(" *"): value.strip() for name, colon, value in parts if colon and value.strip()}
