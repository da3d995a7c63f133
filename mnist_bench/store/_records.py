"""Documents: versioned, saved under their names, and read back as what they mean now."""

import gzip
import re
import zlib
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from mnist_bench.core.bench_types import BenchRecord
from mnist_bench.core.errors import RecordDamaged, RunNotFound
from mnist_bench.core.study_types import StudyRecord
from mnist_bench.core.types import READABLE_VERSIONS, SCHEMA_VERSION, Record
from mnist_bench.store._files import write_atomically
from mnist_bench.store._layout import FOLDERS, NAMES, UNFINISHED, Saved, names_of

CONTROLS = re.compile(rb"\\\\|\\u00(?:[01][0-9a-fA-F]|7[fF]|[89][0-9a-fA-F])|\\[bfr]|\x7f|\xc2[\x80-\x9f]")
"""A backslash, or a control character other than a line feed and a tab, in JSON."""

T = TypeVar("T", bound=Saved)
N = TypeVar("N", Record, StudyRecord)


def to_json(record: Saved) -> bytes:
    """Encode a document: one top-level field a line, long arrays compact."""
    fields = msgspec.to_builtins(record)
    lines = (
        f"{msgspec.json.encode(key).decode()}: {msgspec.json.encode(value).decode()}" for key, value in fields.items()
    )
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def save(folder: Path, document: Saved) -> None:
    """Save one of a run's documents under its name, atomically."""
    write_atomically(folder / NAMES[type(document)], to_json(document))


def save_unfinished(folder: Path, record: BenchRecord) -> None:
    """Save a benchmark that goes on, beside the last one that was finished."""
    write_atomically(folder / UNFINISHED[type(record)], to_json(record))


def save_finished(folder: Path, record: BenchRecord) -> None:
    """Save a finished benchmark in place of the last one."""
    save(folder, record)
    (folder / UNFINISHED[type(record)]).unlink(missing_ok=True)


def load_unfinished(folder: Path, kind: type[T]) -> T | None:
    """Read a benchmark back that was not finished; None where there is none; raises as `load` does."""
    path = folder / UNFINISHED[cast("type[Saved]", kind)]
    return read(path, kind) if path.exists() else None


def load(folder: Path, kind: type[T]) -> T | None:
    """Read one of a run's documents back; None where it was never saved.

    Raises:
        RecordDamaged: it is not such a document, or one of another schema version.
    """
    path = folder / NAMES[cast("type[Saved]", kind)]
    return read(path, kind) if path.exists() else None


def load_if_sound(folder: Path, kind: type[T]) -> T | None:
    """Read one of a run's documents back where it only helps; None where it was never saved, or is damaged."""
    try:
        return load(folder, kind)
    except RecordDamaged:
        return None


def load_record(folder: Path) -> Record:
    """Read a run's record back.

    Raises:
        RunNotFound: there is no such run.
        RecordDamaged: it is not a record, or one of another schema version.
    """
    return _load_named(folder, Record, "runs", "train one")


def load_study(folder: Path) -> StudyRecord:
    """Read a study's record back; raises as `load_record` does."""
    return _load_named(folder, StudyRecord, "studies", "make one with mnist-bench study")


def _load_named(folder: Path, kind: type[N], several: str, remedy: str) -> N:
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

    A record may be anybody's, and is shown on terminals: control characters in it are read as U+FFFD.

    Raises:
        RecordDamaged: it is not such a document, or one of another schema version.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        version = _schema(path, content)
        content = CONTROLS.sub(lambda found: found[0] if found[0] == rb"\\" else "\ufffd".encode(), content)
        if version == SCHEMA_VERSION:
            return msgspec.json.decode(content, type=kind)
        return msgspec.convert(_of_now(msgspec.json.decode(content)), kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RecordDamaged(f"{path} is not a readable record ({error}): restore it, or make it anew") from error
    except OSError as error:
        raise RecordDamaged(f"{path} cannot be read: {error.strerror}") from error


def _schema(path: Path, content: bytes) -> int:
    """Return the schema version of a document; raise RecordDamaged where it is none that can be read."""
    version = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).get("schema_version", msgspec.Raw(b"null"))
    if bytes(version) not in [str(readable).encode() for readable in READABLE_VERSIONS]:
        here = " or ".join(map(str, READABLE_VERSIONS))
        raise RecordDamaged(
            f"{path} has schema version {bytes(version).decode()}, not {here}: "
            f"read it with the mnist-bench that wrote it, or make it anew"
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
