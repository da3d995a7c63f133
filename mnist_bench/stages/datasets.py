"""What a dataset is called in a record, however it was named."""

from collections.abc import Sequence
from pathlib import Path

from mnist_bench.core.dataset_names import is_folder
from mnist_bench.core.errors import BadInput


def resolved(name: str, known: Sequence[str]) -> str:
    """Turn the path of a folder into an absolute one, which a record can name; other names stay as they are.

    Raises:
        BadInput: there is no such folder, or no record can hold its path.
    """
    if not (is_folder(name) or Path(name).is_dir()) or name in known:
        return name
    if not Path(name).is_dir():
        raise BadInput(f"folder {name!r} does not exist.")
    found = str(Path(name).resolve())
    if not found.isprintable():  # also where its bytes are not UTF-8, and no record can hold it
        raise BadInput(f"the path {found!r} cannot be written into a record: rename it")
    return found
