"""Weights alone, in safetensors: a format that cannot run code, and that does not tell what is computed with them."""

import json
from typing import Any

import numpy as np

from mnist_bench.core import text
from mnist_bench.core.errors import ModelRefused
from mnist_bench.core.signature import OURS
from mnist_bench.importers import _network
from mnist_bench.importers._contract import Found, Given, Request, refuse_output

WHAT, PROGRAM = "a safetensors file", False
LENGTH_BYTES, LONGEST_HEADER = 8, 100_000_000
"""An unsigned length, then so many bytes of JSON: the format's own limit."""
DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
METADATA = "__metadata__"


def recognises(given: Given) -> bool:
    """See `Importer`."""
    header = _header(given.content)
    if header is None:
        return False
    ends = [one["data_offsets"][1] for name, one in header.items() if name != METADATA]
    start = LENGTH_BYTES + int.from_bytes(given.content[:LENGTH_BYTES], "little")
    missing = start + max(ends, default=0) - len(given.content)
    if missing > 0:
        raise ModelRefused(f"is a safetensors file of which the last {missing:,} bytes are missing: download it again")
    return True


def _header(content: bytes) -> dict[str, Any] | None:
    """Return what a file tells of its arrays; None where it is no such file."""
    length = int.from_bytes(content[:LENGTH_BYTES], "little")
    begin = content[LENGTH_BYTES : LENGTH_BYTES + 1]
    if begin != b"{" or not 0 < length <= LONGEST_HEADER:
        return None
    if LENGTH_BYTES + length > len(content):
        raise ModelRefused("is a safetensors file that ends within its list of arrays: download it again")
    try:
        header = json.loads(content[LENGTH_BYTES : LENGTH_BYTES + length])
    except (ValueError, RecursionError):
        return None
    return header if isinstance(header, dict) and all(map(_is_entry, header.items())) else None


def _is_entry(item: tuple[str, Any]) -> bool:
    name, entry = item
    if name == METADATA:
        return True
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    return isinstance(offsets, list) and len(offsets) == 2 and all(type(one) is int for one in offsets)  # noqa: PLR2004


def read(request: Request) -> Found:
    """Find the specified network's arrays by their shapes.

    Raises:
        ModelRefused: it holds others.
    """
    import safetensors

    refuse_output(request, "a safetensors file")
    try:
        entries = safetensors.deserialize(request.content)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise ModelRefused(f"it is a damaged safetensors file: {text.reason(str(error))}") from error
    return found_of(request, "safetensors", {name: _array(name, entry) for name, entry in entries})


def found_of(request: Request, kind: str, arrays: dict[str, Any], notes: tuple[str, ...] = ()) -> Found:
    """Return bare weights as what was found; refuse others than the specified network's."""
    kept, left_out = _kept(arrays)
    found = _network.by_shape(kept)
    if found is None:
        raise _network.not_the_network(kept)
    weights, said = found
    return Found(
        kind=kind,
        specified=True,
        signature=OURS,
        precision=_precision(kept),
        classes=len(weights["fc3.bias"]),
        notes=(*notes, *left_out, *said),
        weights_file=_network.write_weights(request, weights),
    )


def _kept(arrays: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Leave an optimizer's state out, which changes no answer."""
    kept = {name: array for name, array in arrays.items() if not name.lower().startswith("optim")}
    count = len(arrays) - len(kept)
    return kept, (f"{count} arrays of an optimizer's state were left out",) if count else ()


def _precision(arrays: dict[str, Any]) -> str:
    names = {"float32": "fp32", "float16": "fp16", "float64": "fp64", "bfloat16": "bf16"}
    kinds = {names.get(array.dtype.name, "unknown") for array in arrays.values()}
    return kinds.pop() if len(kinds) == 1 else "unknown"


def _array(name: str, entry: dict[str, Any]) -> Any:
    """Return one array; NumPy has no bfloat16 of its own."""
    import ml_dtypes

    if entry["dtype"] == "BF16":
        return np.frombuffer(entry["data"], ml_dtypes.bfloat16).reshape(entry["shape"])
    if entry["dtype"] not in DTYPES:
        raise ModelRefused(f"its array {text.line(name)} is {entry['dtype']}: weights of a network are floats")
    return np.frombuffer(entry["data"], DTYPES[entry["dtype"]]).reshape(entry["shape"])
