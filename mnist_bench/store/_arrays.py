"""Arrays in safetensors files: a format that cannot run code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import RecordDamaged
from mnist_bench.core.types import SavedFile
from mnist_bench.store._files import content, write_atomically

Arrays = Mapping[str, NDArray[Any]]


def load_arrays(folder: Path, saved: SavedFile) -> dict[str, NDArray[Any]]:
    """Read one of a checkpoint's files back, after checking that it holds the bytes that were saved.

    Raises:
        RecordDamaged: the file is missing or differs from what the record says.
    """
    return to_arrays(content(folder, saved), folder / saved.name)


def to_arrays(content: bytes, path: Path) -> dict[str, NDArray[Any]]:
    """Decode the content of a safetensors file; `path` is for the message of the error.

    Raises:
        RecordDamaged: it is not one.
    """
    import safetensors
    import safetensors.numpy

    try:
        return safetensors.numpy.load(content)
    except safetensors.SafetensorError as error:
        raise RecordDamaged(f"{path} cannot be read ({error}): restore it, or make it anew") from error


def to_safetensors(arrays: Arrays) -> bytes:
    """Encode arrays as a checkpoint's file holds them."""
    import safetensors.numpy

    return safetensors.numpy.save({name: np.require(array, requirements="C") for name, array in arrays.items()})


def save_arrays(folder: Path, stem: str, arrays: Arrays) -> SavedFile:
    """Save arrays under a name that begins with `stem`; raises as `write_atomically` does."""
    content = to_safetensors(arrays)
    digest = sha256(content)
    # Named by content: the next state never touches the files of the one before.
    name = f"{stem}-{digest[:8]}.safetensors"
    write_atomically(folder / name, content)
    return SavedFile(name=name, sha256=digest, size_bytes=len(content))
