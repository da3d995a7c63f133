"""Messages between mnist-bench and a worker: a line of JSON, then raw little-endian arrays.

`docs/protocol.md` is the contract. Standard library and NumPy alone: a worker starts with nothing else.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

VERSION = 1
LONGEST_LINE = 2**20  # no header needs more; without a limit a program that sends no line end would fill the memory
DTYPES = (
    *("float16", "float32", "float64"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)
SHOWN = 60  # characters of what was no message


class ProtocolError(Exception):
    """What came is no message."""


@dataclass(frozen=True)
class Message:
    """A message: its `kind`, its other fields, and its arrays by name."""

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def write(stream: IO[bytes], message: Message) -> None:
    """Write a message and flush it.

    Raises:
        OSError: nobody reads any more.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in message.arrays.items()}
    described = [
        {"name": name, "dtype": array.dtype.name, "shape": list(array.shape)} for name, array in arrays.items()
    ]
    head = {"message": message.kind, **message.fields, **({"arrays": described} if described else {})}
    stream.write(json.dumps(head).encode() + b"\n")
    for array in arrays.values():
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)  # a copy on big-endian machines alone
        stream.write(little.reshape(-1).view(np.uint8).data)
    stream.flush()


def read(stream: IO[bytes], most_bytes: int) -> Message | None:
    """Read a message; None where there is none any more.

    Args:
        stream: where from.
        most_bytes: how large its arrays may be, together.

    Raises:
        ProtocolError: what comes is no message, breaks off, or is too large.
    """
    line = stream.readline(LONGEST_LINE)
    if not line:
        return None
    head = _head(line)
    kind, described = head.pop("message", None), head.pop("arrays", [])
    if not isinstance(kind, str) or not isinstance(described, list):
        raise ProtocolError(f"this is no message: {_shown(line)}")
    arrays, left = {}, most_bytes
    for entry in described:
        name, dtype, shape = _described(entry)
        size = dtype.itemsize * _product(shape, left + 1)
        if size > left:
            raise ProtocolError(f"an array of shape {shape} is too much: {most_bytes:,} bytes are expected at most")
        left -= size
        arrays[name] = _array(stream, dtype, shape)
    return Message(kind, head, arrays)


def _head(line: bytes) -> dict[str, Any]:
    try:
        head = json.loads(line, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"this is no JSON: {_shown(line)}") from error
    if not line.endswith(b"\n") or not isinstance(head, dict):
        raise ProtocolError(f"this is no message: {_shown(line)}")
    return head


def _finite(text: str) -> float:
    """Parse a number; what is none, or too large, could not be saved as JSON again."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _described(entry: Any) -> tuple[str, np.dtype[Any], list[int]]:
    """Check how an array is described."""
    name, dtype, shape = (entry.get(key) if isinstance(entry, dict) else None for key in ("name", "dtype", "shape"))
    sizes = shape if isinstance(shape, list) else [-1]
    if not isinstance(name, str) or dtype not in DTYPES or any(type(size) is not int or size < 0 for size in sizes):
        raise ProtocolError(f"an array is described wrongly: {_shown(json.dumps(entry).encode())}")
    return name, np.dtype(dtype).newbyteorder("<"), sizes


def _product(shape: list[int], most: int) -> int:
    """Return how many elements there are, or at least `most`: sizes may have any number of digits."""
    product = 1
    for size in sorted(shape):  # a zero comes first
        product = min(product * size, most)
    return product


def _array(stream: IO[bytes], dtype: np.dtype[Any], shape: list[int]) -> NDArray[Any]:
    try:
        array = np.empty(shape, dtype)
    except ValueError as error:  # a size beside a zero can be any number
        raise ProtocolError(f"there is no array of shape {shape}") from error
    view = array.reshape(-1).view(np.uint8).data
    while view:
        count = stream.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise ProtocolError(f"an array broke off, {len(view):,} bytes before its end")
        view = view[count:]
    return array.astype(dtype.newbyteorder("="), copy=False)


def _shown(line: bytes) -> str:
    text = line[: SHOWN + 1].decode("utf-8", "replace")
    return repr(text[:SHOWN] + "…" if len(text) > SHOWN else text)
