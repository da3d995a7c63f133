"""Arrays in safetensors files: a format that cannot run code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.architecture import SHAPES
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


def load_weights(folder: Path, saved: SavedFile) -> dict[str, NDArray[Any]]:
    """Read a checkpoint's weights back: float32 arrays by the names and of the shapes of `architecture.SHAPES`.

    Raises:
        RecordDamaged: they are missing, differ from what the record says, or are those of another network.
    """
    arrays = load_arrays(folder, saved)
    check_arrays(arrays, SHAPES, folder / saved.name)
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise RecordDamaged(f"{folder / saved.name} holds weights that are no numbers: train again with --overwrite")
    return arrays


def check_arrays(arrays: Arrays, shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Raise RecordDamaged where arrays are not float32 of these names and shapes; `path` is for the message."""
    found = {name: (array.shape, array.dtype.name) for name, array in arrays.items()}
    wanted = {name: (shape, "float32") for name, shape in shapes.items()}
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            raise RecordDamaged(
                f"{path} is of another network: {name} is {_described(found.get(name))}, not "
                f"{_described(wanted.get(name))}: restore it, or train again with --overwrite"
            )


def _described(kind: tuple[tuple[int, ...], str] | None) -> str:
    return f"{kind[1]} {kind[0]}" if kind else "absent"


def to_arrays(content: bytes, path: Path) -> dict[str, NDArray[Any]]:
    """Decode the content of a safetensors file; `path` is for the message of the error.

    Raises:
        RecordDamaged: it is not one.
    """
    import safetensors
    import safetensors.numpy

    try:
        return safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:  # a dtype that NumPy lacks
        raise RecordDamaged(f"{path} cannot be read ({error}): restore it, or create it again") from error


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
