"""Runs and studies as they grow: locked while they are written, checkpoint by checkpoint."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import filelock
import msgspec

from mnist_bench.core import locks, scratch
from mnist_bench.core.errors import OutputUnwritable, RecordDamaged, RunExists
from mnist_bench.core.study_types import StudyRecord
from mnist_bench.core.types import Checkpoint, PartialEpoch, Record
from mnist_bench.store import _derived
from mnist_bench.store._arrays import Arrays, save_arrays
from mnist_bench.store._artifacts import settle
from mnist_bench.store._files import explained, sweep
from mnist_bench.store._layout import FOLDERS, Saved
from mnist_bench.store._records import load, save

CHECKPOINT_FILE = re.compile(r"(weights|optimizer)-\d{3,}p?-[0-9a-f]{8}\.safetensors")


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
    named = (current.weights.name, current.optimizer.name) if current else ()
    for path in folder.iterdir():
        if CHECKPOINT_FILE.fullmatch(path.name) and path.name not in named:
            path.unlink(missing_ok=True)
