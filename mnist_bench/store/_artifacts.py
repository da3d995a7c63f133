"""Exported files: each enters the manifest, which is the commit point, before it takes its place.

A file waits under a name that holds its hash until the manifest names it. So whatever fails, and after whichever step,
what the manifest on the disk names is there, in its place or waiting for it, and can be read.
"""

import contextlib
from pathlib import Path

from msgspec.structs import replace

from mnist_bench.core.errors import RecordDamaged
from mnist_bench.core.reading import is_there
from mnist_bench.core.types import Artifact, Manifest, Record, SavedFile
from mnist_bench.store._files import content, contents_at, explained, remove, sync_all, sync_folder
from mnist_bench.store._records import load, save

WAITING = ".waiting-"


def enter(folder: Path, record: Record, made: Path, artifact: Artifact) -> None:
    """Give a file, or a folder of files, its place in a run's folder, and its entry in the manifest.

    Args:
        folder: the run's folder, locked by the caller.
        record: the run.
        made: what was made, on the same file system.
        artifact: its description; it takes the place of an earlier one of its name.

    Raises:
        OutputUnwritable: something could not be written; what the manifest names can be read all the same.
        RecordDamaged: the manifest is damaged.
    """
    manifest = load(folder, Manifest) or Manifest(run=record.name)
    others = tuple(entry for entry in manifest.artifacts if entry.name != artifact.name)
    entries = tuple(sorted((*others, artifact), key=lambda entry: entry.name))
    waiting = _waiting(folder, artifact)
    try:
        with explained(waiting):
            sync_all(made)
            remove(waiting)
            made.rename(waiting)
            sync_folder(folder)
        save(folder, replace(manifest, artifacts=entries))
    except BaseException:
        with contextlib.suppress(OSError):
            settle(folder)
        raise
    with explained(folder / artifact.name):
        _put_in_place(folder, artifact)


def contents(folder: Path, artifact: Artifact) -> dict[str, bytes]:
    """Read an exported file, or the files of an exported folder, by name, wherever it is; checked against its hash.

    Raises:
        RecordDamaged: a file is missing, or differs from what the manifest says.
    """
    place = folder / artifact.name
    for path in (place, _waiting(folder, artifact)):  # what stopped it from taking its place is no reader's trouble
        with contextlib.suppress(RecordDamaged):
            return contents_at(path, artifact)
    return contents_at(place, artifact)  # where it may have come from there just now


def is_whole(folder: Path, file: Artifact | SavedFile) -> bool:
    """Tell whether an exported file, or one of the checkpoint's, is there as it was saved: all of it is read."""
    try:
        if isinstance(file, Artifact):
            contents(folder, file)
        else:
            content(folder, file)
    except RecordDamaged:
        return False
    return True


def settle(folder: Path) -> None:
    """Put what waits into its place where the manifest names it; remove the rest; the folder is locked by the caller.

    Where the manifest cannot be read, all stays.
    """
    try:
        manifest = load(folder, Manifest)
    except RecordDamaged:
        return
    for artifact in manifest.artifacts if manifest else ():
        if is_there(_waiting(folder, artifact)):
            _put_in_place(folder, artifact)
    for left in folder.glob(f"{WAITING}*"):
        remove(left)


def _waiting(folder: Path, artifact: Artifact) -> Path:
    return folder / f"{WAITING}{artifact.sha256[:16]}-{artifact.name}"


def _put_in_place(folder: Path, artifact: Artifact) -> None:
    """Move what waits to its place; a folder cannot replace another, so the old one goes first."""
    waiting, place = _waiting(folder, artifact), folder / artifact.name
    if waiting.is_dir() or place.is_dir():
        remove(place)
    waiting.replace(place)
    sync_folder(folder)
