"""Files that are there wholly or not at all, and whose bytes are checked when they are read."""

import contextlib
import errno
import glob
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import filelock

from mnist_bench.core import limits, locks
from mnist_bench.core.digest import sha256, sha256_of_file
from mnist_bench.core.errors import OutputUnwritable, RecordDamaged
from mnist_bench.core.reading import NO_LINK, read_regular
from mnist_bench.core.types import Artifact, SavedFile

TEMPORARY = re.compile(r"\..+\.([0-9a-f]{16}|\d+)\.tmp|\.making-[a-z0-9_]{8}\.tmp", re.ASCII)
"""What a process that died may have left; in digits alone by versions that named them by their process."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there wholly or not at all, even across a power cut.

    Raises:
        OutputUnwritable: no room, no permission; a file that was there before is as it was, unless it was the folder
            that could not be synced: then the new one has its place, but a power cut might still take it back.
    """
    with explained(path), locks.held(lambda: _created(path)) as (temporary, descriptor):
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            temporary.replace(path)  # while it is held, so that nobody takes it for litter
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def check_writable(path: Path) -> None:
    """Raise OutputUnwritable where a file could not be written: by making a temporary one beside it."""
    with explained(path), locks.held(lambda: _created(path)) as (temporary, _):
        temporary.unlink()


def _created(path: Path) -> tuple[Path, int]:
    """Create a temporary file beside a path under a name that nobody can foresee, and open it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_LINK | getattr(os, "O_BINARY", 0)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, flags, 0o666)
    if hasattr(os, "fchmod"):  # whatever the umask: what we write we must be able to read again
        os.fchmod(descriptor, stat.S_IMODE(os.fstat(descriptor).st_mode) | stat.S_IRUSR | stat.S_IWUSR)
    return temporary, descriptor


@contextlib.contextmanager
def making(folder: Path) -> Iterator[Path]:
    """Make a new folder within a folder, for files that are to be moved to their places; removed at the end.

    Raises:
        OutputUnwritable: the folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        with explained(folder):
            made = stack.enter_context(locks.held_folder(folder, ".making-", ".tmp"))
        yield made


def sweep(folder: Path, name: str = "") -> None:
    """Remove the temporary files of processes that died, as far as that can be done; those of the living stay.

    Args:
        folder: where; not what is below it.
        name: only those that were to become this file: elsewhere than in a folder of ours.
    """
    with contextlib.suppress(OSError):
        for left in folder.glob(f".{glob.escape(name)}.*.tmp") if name else folder.iterdir():
            if TEMPORARY.fullmatch(left.name):
                with contextlib.suppress(OSError):
                    locks.remove_abandoned(left, remove)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; nothing where there is none. Of a link, the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync_all(path: Path) -> None:
    """Let a file, or a folder with its files, reach the disk."""
    if path.is_dir():
        for part in path.iterdir():
            sync_all(part)
        sync_folder(path)
    else:
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Let the names in a folder reach the disk."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def subfolder(folder: Path, *names: str) -> Path:
    """Make a folder within a folder, where it is not there yet; return its path.

    Raises:
        OutputUnwritable: it cannot be made, or is a link: what is written there would be elsewhere.
    """
    path = folder
    for name in names:
        path /= name
        with explained(path):
            path.mkdir(exist_ok=True)
            if path.is_symlink():
                raise OSError(errno.ELOOP, "it is a link to another place", str(path))
        sweep(path)
    return path


def content(folder: Path, saved: SavedFile, limit_bytes: int = limits.CHECKPOINT_BYTES) -> bytes:
    """Read one of a run's files, and check that it holds the bytes that were saved: what is hashed is what is returned.

    Raises:
        RecordDamaged: the file is missing or differs from what the record or the manifest says.
    """
    path = folder / saved.name
    try:
        found = read_regular(path, limit_bytes, links=False)
    except OSError as error:
        raise RecordDamaged(f"{path} cannot be read ({error.strerror}): restore it, or create it again") from error
    if sha256(found) != saved.sha256:
        raise RecordDamaged(f"{path} differs from what was saved (SHA-256): restore it, or create it again")
    return found


def contents_at(path: Path, artifact: Artifact) -> dict[str, bytes]:
    """Read an exported file, or the files of an exported folder, at a path, by name; checked as `content` checks.

    Raises:
        RecordDamaged: a file is missing, or differs from what the manifest says.
    """
    if not artifact.files:
        whole = SavedFile(name=path.name, sha256=artifact.sha256, size_bytes=artifact.size_bytes)
        return {artifact.name: content(path.parent, whole, limits.MODEL_BYTES)}
    if digest_of_list(artifact.files) != artifact.sha256:
        raise RecordDamaged(f"the manifest contradicts itself on {artifact.name} (SHA-256): export it again")
    if path.is_symlink():
        raise RecordDamaged(f"{path} cannot be read (it is a link): restore it, or export it again")
    found: dict[str, bytes] = {}
    for one in artifact.files:
        found[one.name] = content(path, one, limits.MODEL_BYTES - sum(map(len, found.values())))
    return found


def saved_files(folder: Path) -> tuple[SavedFile, ...]:
    """Describe the files of an exported folder, in the order of their names."""
    return tuple(
        SavedFile(name=path.name, sha256=sha256_of_file(path), size_bytes=path.stat().st_size)
        for path in sorted(folder.iterdir())
    )


def digest_of_list(files: Iterable[SavedFile]) -> str:
    """Return the SHA-256 of some files together; see `Artifact`."""
    return sha256("".join(f"{one.sha256}  {one.name}\n" for one in files).encode())


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
            f"free some room, change its permissions, or choose another place"
        ) from error
