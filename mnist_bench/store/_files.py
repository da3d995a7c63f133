"""Files that are there wholly or not at all, and whose bytes are checked when they are read."""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import filelock

from mnist_bench.core.digest import sha256, sha256_of_file
from mnist_bench.core.errors import OutputUnwritable, RecordDamaged
from mnist_bench.core.types import Artifact, SavedFile

ASIDE = ".old"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to, whose file takes the place of `path` at the end: wholly, or after an error not at all.

    Raises:
        OutputUnwritable: no room, no permission; a file that was there before is as it was, unless it was the folder
            that could not be synced: then the new one has its place, but a power cut might still take it back.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with explained(path):
        try:
            yield temporary
            if temporary.is_dir():
                _replace_folder(temporary, path)
            else:
                _sync_file(temporary)
                temporary.replace(path)
            _sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                remove(temporary)
            raise


def _replace_folder(temporary: Path, path: Path) -> None:
    """Put a new folder in the place of a folder, or of a file: systems have no one step for that.

    A process that dies between the two leaves the old one under its other name; `locked` puts it back.
    """
    for file in temporary.iterdir():
        _sync_file(file)
    _sync_folder(temporary)
    aside = path.with_name(f".{path.name}{ASIDE}")
    remove(aside)
    if path.exists():
        path.rename(aside)
    try:
        temporary.rename(path)
    except OSError:
        if aside.exists():
            aside.rename(path)
        raise
    remove(aside)


def put_back(folder: Path) -> None:
    """Give folders their name again that a process which died had put aside; remove them where the new ones are."""
    for aside in folder.glob(f".*{ASIDE}"):
        name = aside.name.removeprefix(".").removesuffix(ASIDE)
        if name.strip(".") == "":  # none of ours
            continue
        path = aside.with_name(name)
        if path.exists():
            remove(aside)
        else:
            aside.rename(path)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there wholly or not at all, even across a power cut; raises as `replacing` does."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def content(folder: Path, saved: SavedFile) -> bytes:
    """Read one of a run's files, and check that it holds the bytes that were saved: what is hashed is what is returned.

    Raises:
        RecordDamaged: the file is missing or differs from what the record or the manifest says.
    """
    path = folder / saved.name
    try:
        found = read_regular(path)
    except OSError as error:
        raise RecordDamaged(f"{path} cannot be read ({error.strerror}): restore it, or make it anew") from error
    if sha256(found) != saved.sha256:
        raise RecordDamaged(f"{path} differs from what was saved (SHA-256): restore it, or make it anew")
    return found


def contents(folder: Path, artifact: Artifact) -> dict[str, bytes]:
    """Read an exported file, or the files of an exported folder, by name; checked as `content` checks.

    Raises:
        RecordDamaged: a file is missing, or differs from what the manifest says.
    """
    if not artifact.files:
        whole = SavedFile(name=artifact.name, sha256=artifact.sha256, size_bytes=artifact.size_bytes)
        return {artifact.name: content(folder, whole)}
    if digest_of_list(artifact.files) != artifact.sha256:
        raise RecordDamaged(f"the manifest contradicts itself on {artifact.name} (SHA-256): export it anew")
    return {one.name: content(folder / artifact.name, one) for one in artifact.files}


def saved_files(folder: Path) -> tuple[SavedFile, ...]:
    """Describe the files of an exported folder, in the order of their names."""
    return tuple(
        SavedFile(name=path.name, sha256=sha256_of_file(path), size_bytes=path.stat().st_size)
        for path in sorted(folder.iterdir())
    )


def digest_of_list(files: Iterable[SavedFile]) -> str:
    """Return the SHA-256 of some files together; see `Artifact`."""
    return sha256("".join(f"{one.sha256}  {one.name}\n" for one in files).encode())


def read_regular(path: Path) -> bytes:
    """Read a file that is one: a pipe or a device would wait, or never end.

    Raises:
        OSError: it cannot be read, or is none.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return file.read()


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError into an OutputUnwritable that names the path."""
    try:
        yield
    except filelock.Timeout:
        raise
    except OSError as error:
        raise OutputUnwritable(
            f"{path} cannot be written ({error.strerror or error}): "
            f"free some room, mend its permissions, or choose another place"
        ) from error
