"""Options of functions, turned into what the stages ask for; whatever a command refuses is refused here too."""

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from mnist_bench import data, environment
from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import LARGEST_BATCH
from mnist_bench.stages.datasets import resolved

Words = str | Sequence[str]
"""A name, or several."""

Numbers = int | Sequence[int]
Place = str | os.PathLike[str]
"""A path."""


def path(place: Place | None) -> Path | None:
    """Return a path, where there is one."""
    return None if place is None else Path(place)


def data_folder(place: Place | None) -> Path | None:
    """Return the folder to look into first for a dataset: the one given, or MNIST_BENCH_DATA's.

    Raises:
        BadInput: it was given, and is not there.
    """
    if place is None:
        named = os.environ.get("MNIST_BENCH_DATA")
        return Path(named) if named else None
    if not Path(place).is_dir():
        raise BadInput(f"data_dir: folder {str(place)!r} does not exist")
    return Path(place)


def dataset_name(dataset: Place) -> str:
    """Return a dataset's name; of a folder, its absolute path."""
    return resolved(os.fspath(dataset), data.names())


def words(name: str, given: Words) -> tuple[str, ...]:
    """Return one name or several as a tuple.

    Raises:
        BadInput: it is neither.
    """
    names = []
    for one in _several(given):
        if not isinstance(one, str):
            raise BadInput(f"{name} must be a name or several, not {given!r}")
        names.append(one)
    return tuple(dict.fromkeys(names))


def numbers(name: str, given: Numbers, most: int = LARGEST_BATCH) -> tuple[int, ...]:
    """Return one number or several as a tuple.

    Raises:
        BadInput: one is no whole number from 1 to `most`.
    """
    return tuple(dict.fromkeys([whole(name, number, most) for number in _several(given)]))


def _several(given: object) -> tuple[object, ...]:
    """Return one thing or several as a tuple; a text is one."""
    return tuple(given) if isinstance(given, Iterable) and not isinstance(given, str | bytes) else (given,)


def threads(given: Numbers) -> tuple[int, ...]:
    """Return numbers of threads, none above the cores that this process may use."""
    return numbers("threads", given, environment.available_cores())


def whole(name: str, number: object, most: int, least: int = 1) -> int:
    """Return a number; raises BadInput where it is no whole one in its range."""
    if type(number) is not int or not least <= number <= most:
        raise BadInput(f"{name} must be a whole number from {least} to {most:,}, not {number!r}")
    return number


def positive(name: str, number: object, most: float = math.inf) -> float:
    """Return a number; raises BadInput where it is none above 0, and at most `most`."""
    if isinstance(number, int | float) and type(number) is not bool and 0 < number <= most and number < math.inf:
        return number
    raise BadInput(f"{name} must be a positive number{f' up to {most:,}' if most < math.inf else ''}, not {number!r}")


def one_of(name: str, value: str, choices: Iterable[str]) -> None:
    """Raise BadInput where a value is none of the choices."""
    choices = tuple(choices)
    if value not in choices:
        raise BadInput(f"{name} must be one of {', '.join(choices)}, not {value!r}")
