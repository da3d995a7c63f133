"""Runs and studies as they grow: locked while they are written, checkpoint by checkpoint."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import filelock
import msgspec

from mnist_bench.core import locks, scratch
from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import OutputUnwritable, RecordDamaged, RunExists
from mnist_bench.core.study_types import StudyRecord
from mnist_bench.core.types import Checkpoint, PartialEpoch, Record, SavedFile
from mnist_bench.store import _derived
from mnist_bench.store._arrays import Arrays, save_arrays
from mnist_bench.store._artifacts import settle
from mnist_bench.store._files import explained, sweep, write_atomically
from mnist_bench.store._layout import FOLDERS, Saved
from mnist_bench.store._records import load, save

CHECKPOINT_FILE = re.compile(r"(weights|optimizer)-\d{3,}p?-[0-9a-f]{8}\.(safetensors|onnx)")


@contextlib.contextmanager
def locked(folder: Path, kind: type[Saved] = Record) -> Iterator[None]:
    """Create a run's or a study's folder and keep other processes from writing to it.

    Raises:
        OutputUnwritable: the folder cannot be created or written.
        RunExists: another process is writing it.
    """
    with contextlib.ExitStack() as stack:
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(locks.exclusive(folder / ".lock", timeout_s=0))
            except filelock.Timeout as error:
                what = FOLDERS[kind]
                raise RunExists(
                    f"{what} {folder.name!r} is being written by another process: choose another --{what}"
                ) from error
            sweep(folder)
            scratch.sweep(scratch.root())
            settle(folder)
        yield


def save_study(folder: Path, record: StudyRecord, *, new: bool) -> None:
    """Save a study as far as it has come; where it is new, what was drawn of an older one of its name is removed."""
    save(folder, record)
    if new:
        _derived.remove_declared(folder)


def save_checkpoint(
    folder: Path, record: Record, weights: Arrays, optimizer: Arrays, partial: PartialEpoch | None = None
) -> Record:
    """Save a state of training and make it the run's current one.

    Returns:
        The record as saved: it names the new checkpoint files.
    """
    stage = f"{len(record.epochs):03d}" + ("p" if partial else "")
    new = record.checkpoint is None
    try:
        checkpoint = Checkpoint(
            weights=save_arrays(folder, f"weights-{stage}", weights),
            optimizer=save_arrays(folder, f"optimizer-{stage}", optimizer),
            partial=partial,
        )
        record = msgspec.structs.replace(record, checkpoint=checkpoint)
        save(folder, record)
    except OutputUnwritable:
        _sweep(folder)
        raise
    with explained(folder):
        if new:  # what was made from another run of this name is no longer true
            _derived.remove_all(folder)
        _sweep(folder)
    return record


def imported_file(network: bytes, suffix: str) -> SavedFile:
    """Name the file of an imported network: `safetensors` for weights, `onnx` for a graph."""
    digest = sha256(network)
    return SavedFile(name=f"weights-000-{digest[:8]}.{suffix}", sha256=digest, size_bytes=len(network))


def save_imported(folder: Path, record: Record, network: bytes) -> None:
    """Save a run that was imported, in place of what the folder held.

    Args:
        folder: the run's folder, locked by the caller.
        record: the run, whose checkpoint names the network by `imported_file`.
        network: its weights, or its graph.
    """
    assert record.checkpoint
    try:
        write_atomically(folder / record.checkpoint.weights.name, network)
        save(folder, record)
    except OutputUnwritable:
        _sweep(folder)
        raise
    with explained(folder):
        _derived.remove_all(folder)
        _sweep(folder)


def _sweep(folder: Path) -> None:
    """Remove what an earlier state, or a process that died, left behind; only files that this module names.

    What the record on the disk names stays, whatever it is: an error while it was saved does not tell whether it is
    the new one already (the folder is synced after the file has its name). Where it cannot be read, all stays.
    """
    try:
        saved = load(folder, Record)
    except RecordDamaged:
        return
    current = saved and saved.checkpoint
    files = (current.weights, current.optimizer) if current else ()
    named = {file.name for file in files if file}
    for path in folder.iterdir():
        if CHECKPOINT_FILE.fullmatch(path.name) and path.name not in named:
            path.unlink(missing_ok=True)
