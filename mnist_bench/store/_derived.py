"""What is made from a run or a study: it goes when that is replaced, since it is no longer true then."""

import contextlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mnist_bench.core import limits
from mnist_bench.core.errors import RecordDamaged
from mnist_bench.core.reading import is_there, read_regular
from mnist_bench.core.types import Manifest
from mnist_bench.store._files import explained, remove, write_atomically
from mnist_bench.store._layout import FOLDERS, NAMES, UNFINISHED
from mnist_bench.store._records import load

LIST = ".derived"
UNDECLARED = ("report.html", "figures/*.[ps][nv]g", "loadgen/*/mlperf_log_*.txt", "tensorboard/events.out.tfevents.*")
"""What was made in folders of the time before anything was declared."""
DOCUMENTS = tuple(name for kind, name in (*NAMES.items(), *UNFINISHED.items()) if kind not in FOLDERS)


def declare(folder: Path, *patterns: str) -> None:
    """Note that files of these patterns, such as `figures/*.svg`, are made from what this folder holds.

    Whoever makes files declares them, in the folder itself: so this module need not know who there is.

    Raises:
        OutputUnwritable: the folder cannot be written.
    """
    declared = _declared(folder)
    if not declared.issuperset(patterns):
        write_atomically(folder / LIST, "".join(f"{one}\n" for one in sorted(declared.union(patterns))).encode())


def remove_declared(folder: Path) -> None:
    """Remove the files that were declared."""
    for path in _files(folder):
        path.unlink(missing_ok=True)


def remove_all(folder: Path) -> None:
    """Remove what was exported, compared, measured and drawn from a run that has been replaced."""
    manifest = None
    with contextlib.suppress(RecordDamaged):
        manifest = load(folder, Manifest)
    for name in DOCUMENTS:  # the manifest first: it must never name what is not there
        (folder / name).unlink(missing_ok=True)
    for artifact in manifest.artifacts if manifest else ():
        if _removable(folder / artifact.name):
            remove(folder / artifact.name)
    remove_declared(folder)


def _declared(folder: Path) -> set[str]:
    path = folder / LIST
    with explained(path):
        if not is_there(path):
            return set(UNDECLARED)
        return set(read_regular(path, limits.LIST_BYTES, links=False).decode("utf-8", "replace").splitlines())


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files that were declared; the list may be anybody's, so neither what is elsewhere nor the run is."""
    home = folder.resolve()
    for pattern in sorted(_declared(folder)):
        parts = PurePosixPath(pattern).parts
        if not parts or ".." in parts or pattern.startswith("/") or "\0" in pattern:
            continue
        with contextlib.suppress(ValueError):  # what is no pattern
            for path in folder.glob(pattern):
                if path.is_file() and path.parent.resolve().is_relative_to(home) and _removable(path):
                    yield path


def _removable(path: Path) -> bool:
    """Tell whether a file is not the run itself, nor one of its folder's own."""
    own = path.name in {NAMES[kind] for kind in FOLDERS} or path.suffix == ".safetensors"
    return not own and not path.name.startswith(".")
