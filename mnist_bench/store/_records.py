"""Documents: versioned, saved under their names, and read back as what they mean now."""

import gzip
import re
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from mnist_bench.core import limits, text
from mnist_bench.core.bench_types import BenchRecord
from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import RecordDamaged, RunNotFound
from mnist_bench.core.reading import is_there, read_regular, unpacked
from mnist_bench.core.study_types import StudyRecord
from mnist_bench.core.types import READABLE_VERSIONS, SCHEMA_VERSION, Manifest, Record
from mnist_bench.store._files import explained, sweep, write_atomically
from mnist_bench.store._layout import FOLDERS, MADE_BY, NAMES, UNFINISHED, Saved, names_of

CHECKSUM = re.compile(rb',\n"checksum": "([0-9a-f]{64})"\n}\n\Z')
"""The last line of a document: the SHA-256 of all that stands before it, the comma excluded."""
CHECKED_SINCE = 4  # schema versions before had none

T = TypeVar("T", bound=Saved)
N = TypeVar("N", Record, StudyRecord)
R = TypeVar("R")
TRIES, PAUSE_S = 50, 0.1  # an epoch of the smallest dataset takes as long as some of these


def to_json(record: Saved) -> bytes:
    """Encode a document: one top-level field a line, long arrays compact, and last a checksum of what is before it."""
    fields = msgspec.to_builtins(record)
    lines = (
        f"{msgspec.json.encode(key).decode()}: {msgspec.json.encode(value).decode()}" for key, value in fields.items()
    )
    content = text.json_escaped("{\n" + ",\n".join(lines)).encode()
    msgspec.json.decode(content + b"\n}", type=type(record))  # what could not be read again is never written
    return content + f',\n"checksum": "{sha256(content)}"\n}}\n'.encode()


def save(folder: Path, document: Saved) -> None:
    """Save one of a run's documents under its name, atomically."""
    write_atomically(folder / NAMES[type(document)], to_json(document))


def save_unfinished(folder: Path, record: BenchRecord) -> None:
    """Save a benchmark that goes on, beside the last one that was finished."""
    write_atomically(folder / UNFINISHED[type(record)], to_json(record))


def save_finished(folder: Path, record: BenchRecord) -> None:
    """Save a finished benchmark in place of the last one."""
    save(folder, record)
    unfinished = folder / UNFINISHED[type(record)]
    with explained(unfinished):
        unfinished.unlink(missing_ok=True)


def load_unfinished(folder: Path, kind: type[T]) -> T | None:
    """Read a benchmark back that was not finished; None where there is none; raises as `load` does."""
    return _of_folder(folder / UNFINISHED[cast("type[Saved]", kind)], kind)


def load(folder: Path, kind: type[T]) -> T | None:
    """Read one of a run's documents back; None where it was never saved.

    Raises:
        RecordDamaged: it is not such a document, or one of another schema version.
    """
    return _of_folder(folder / NAMES[cast("type[Saved]", kind)], kind)


def _of_folder(path: Path, kind: type[T]) -> T | None:
    try:
        there = is_there(path)
    except OSError as error:
        raise RecordDamaged(f"{path} cannot be read: {error.strerror}") from error
    return _read(path, kind, links=False) if there else None


def load_if_sound(folder: Path, kind: type[T]) -> T | None:
    """Read one of a run's documents back where it only helps; None where it was never saved, or is damaged."""
    try:
        return load(folder, kind)
    except RecordDamaged:
        return None


def load_record(folder: Path) -> Record:
    """Read a run's record back; what processes that died left in its folder is swept.

    Raises:
        RunNotFound: there is no such run.
        RecordDamaged: it is not a record, or one of another schema version.
    """
    return _load_named(folder, Record, "runs", "train one")


def steady(folder: Path, read_more: Callable[[Record], R]) -> tuple[Record, R]:
    """Read a run's record, and files that it and the manifest name, as they belong together, while others may write.

    Args:
        folder: the run's folder, which need not be locked.
        read_more: reads what else is wanted of a record; it is called again where the run has changed meanwhile.

    Returns:
        The record, and what was read.

    Raises:
        RecordDamaged: something is damaged, and not because the run has changed meanwhile; or it changes all the time.
    """
    for _ in range(TRIES):
        before = _stamps(folder)
        try:
            record = load_record(folder)
            found = read_more(record)
        except RecordDamaged:
            if _stamps(folder) == before:
                raise
        else:
            if _stamps(folder) == before:
                return record, found
        time.sleep(PAUSE_S)
    raise RecordDamaged(f"{folder} is being written again and again: wait until that is done")


def _stamps(folder: Path) -> list[tuple[int, int] | None]:
    """Tell one state of a run and its manifest from another: each is a new file."""
    found: list[tuple[int, int] | None] = []
    for kind in (Record, Manifest):
        try:
            status = (folder / NAMES[kind]).lstat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_ino, status.st_mtime_ns))
    return found


def load_study(folder: Path) -> StudyRecord:
    """Read a study's record back; raises as `load_record` does."""
    return _load_named(folder, StudyRecord, "studies", "make one with mnist-bench study")


def _load_named(folder: Path, kind: type[N], several: str, remedy: str) -> N:
    sweep(folder)
    record = load(folder, kind)
    if record is None:
        what, here = FOLDERS[kind], ", ".join(names_of(folder.parent, kind)) or "none"
        raise RunNotFound(
            f"no {what} {folder.name!r} in {folder.parent} ({several} there: {here}): {remedy}, "
            f"or give --{what} or --out"
        )
    return msgspec.structs.replace(record, name=folder.name)  # a folder may be copied under another name


def read(path: Path, kind: type[T]) -> T:
    """Read a document from any file; one called `.gz` is unpacked.

    Raises:
        RecordDamaged: it is not such a document, one of another schema version, too large, or not as it was saved.
    """
    return _read(path, kind, links=True)


def _read(path: Path, kind: type[T], *, links: bool) -> T:
    try:
        content = read_regular(path, limits.RECORD_BYTES, links=links)
        content = unpacked(content, limits.RECORD_BYTES) if path.suffix == ".gz" else content
        version = _schema(path, content)
        content = _checked(path, content, version)
        if version == SCHEMA_VERSION:
            return msgspec.json.decode(content, type=kind)
        return msgspec.convert(_of_now(msgspec.json.decode(content)), kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RecordDamaged(f"{path} is not a readable record ({error}): {_way_out(path)}") from error
    except OSError as error:
        raise RecordDamaged(f"{path} cannot be read: {error.strerror or error}") from error


def _way_out(path: Path) -> str:
    """Say what to do about a damaged document: what a command makes of a run can be made again."""
    command = MADE_BY.get(path.name)
    return f"restore it, or delete it and run mnist-bench {command}" if command else "restore it, or create it again"


def _checked(path: Path, content: bytes, version: int) -> bytes:
    """Return a document without its checksum; raise RecordDamaged where that is missing, or another one's."""
    found = CHECKSUM.search(content)
    if found is None and version < CHECKED_SINCE:
        return content
    if found is None or sha256(content[: found.start()]) != found[1].decode():
        raise RecordDamaged(f"{path} is not as it was saved (its checksum): {_way_out(path)}")
    return content[: found.start()] + b"\n}\n"


def _schema(path: Path, content: bytes) -> int:
    """Return the schema version of a document; raise RecordDamaged where it is none that can be read."""
    version = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).get("schema_version", msgspec.Raw(b"null"))
    if bytes(version) not in [str(readable).encode() for readable in READABLE_VERSIONS]:
        here = " or ".join(map(str, READABLE_VERSIONS))
        raise RecordDamaged(
            f"{path} has schema version {bytes(version).decode()}, not {here}: "
            f"read it with the mnist-bench that wrote it, or create it again"
        )
    return int(bytes(version))


def _of_now(document: dict[str, Any]) -> dict[str, Any]:
    """Return an older document as what it means now: before version 3 a row's format also said what was timed."""
    try:
        for part in filter(None, (document, document.get("confirmation"))):
            part["schema_version"] = SCHEMA_VERSION
            for row in part.get("rows", ()):
                if (kind := row["configuration"]["format"]) in ("null", "training"):
                    row["kind"], row["configuration"]["format"] = kind, ""
    except (KeyError, TypeError, AttributeError) as error:
        raise msgspec.ValidationError(f"its rows are none: {error!r}") from error
    return document
