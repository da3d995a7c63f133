"""Results that are kept in this process: a notebook verifies a run again and again, a session of pytest one file often.

They are found by what the arguments hold, so that a file that is read twice is the same one.
"""

import dataclasses
import functools
import hashlib
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")

PLAIN = int, float, complex, str, bytes, bool, type(None), np.generic


def remembered(most: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator for a function of arrays, plain values, and tuples and dataclasses of such.

    It must depend on nothing else, and nobody may change what it returns: the next one to ask gets the same object.

    Args:
        most: so many results are kept; the one that was asked for longest ago goes first.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        known: dict[bytes, R] = {}
        lock = threading.Lock()

        @functools.wraps(function)
        def remembering(*args: P.args, **named: P.kwargs) -> R:
            key = digest((args, tuple(sorted(named.items()))))
            with lock:
                if key in known:
                    known[key] = known.pop(key)  # to the end: it was asked for just now
                    return known[key]
            found = function(*args, **named)
            with lock:
                known[key] = found
                while len(known) > most:
                    del known[next(iter(known))]
            return found

        return remembering

    return decorate


def digest(value: object) -> bytes:
    """Return the SHA-256 of what a value holds.

    Raises:
        TypeError: it is, or holds, something else than arrays, plain values, tuples, lists and dataclasses.
    """
    found = hashlib.sha256()
    _feed(found, value)
    return found.digest()


def _feed(found: Any, value: object) -> None:
    """Add a value to a hash, with its type and its size: no two values come to the same bytes."""
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        found.update(f"array {value.dtype!r} {value.shape} ".encode())
        found.update(value.tobytes())
    elif isinstance(value, PLAIN):
        words = repr(value).encode()
        found.update(f"{type(value).__name__} {len(words)} ".encode() + words)
    elif isinstance(value, tuple | list):
        found.update(f"{type(value).__name__} of {len(value)} ".encode())
        for part in value:
            _feed(found, part)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        found.update(f"{type(value).__module__}.{type(value).__qualname__} ".encode())
        _feed(found, tuple(getattr(value, field.name) for field in dataclasses.fields(value)))
    else:
        raise TypeError(f"{type(value).__name__} is not hashed by what it holds")
