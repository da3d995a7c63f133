"""What datasets and their classes are called: of ours by a name, anybody's own by the path of its folder."""

import re
from collections.abc import Sequence

SEPARATORS = re.compile(r"[/\\]+")
UNUSABLE = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST_IN_A_RUN = 80  # a run's name has up to 100 characters, and its activation follows


def is_folder(name: str) -> bool:
    """Tell whether a dataset's name is the path of a folder."""
    return bool(SEPARATORS.search(name))


def shown(name: str) -> str:
    """Return a dataset's name as people are shown it: of a path its last part, marked so that it is none of ours."""
    return f"…/{_last(name)}" if is_folder(name) else name


def in_a_run(name: str) -> str:
    """Return a dataset's name as a part of a run's, which is a plain name."""
    if not is_folder(name):
        return name
    return UNUSABLE.sub("-", _last(name))[:LONGEST_IN_A_RUN].strip("-._") or "images"


def _last(name: str) -> str:
    return next((part for part in reversed(SEPARATORS.split(name)) if part), name)


def how_to_find(name: str) -> str:
    """Say what to do where a dataset is not the one that was used."""
    if not is_folder(name):
        return "give the same --data-dir"
    return "put its images back as they were, or give --data-dir with the folder that holds a copy of it"


def output_names(classes: Sequence[str], outputs: int) -> tuple[str, ...]:
    """Name the outputs of a network, of which there may be more than classes: those have nothing to mean."""
    return (*classes, *(f"output {place}" for place in range(len(classes), outputs)))
