"""Run and study folders: atomic files, versioned records, checkpoints that survive a crash at any moment.

One run is one folder. `run.json` is the record and the commit point: it names the checkpoint files by content, they are
written before it, and files that it no longer names are removed after it. Whatever moment a process dies at, the folder
holds one complete state. A study's folder holds `study.json`, which is replaced as a whole, and never a run.
"""

import contextlib
import errno
import gzip
import os
import re
import shlex
import shutil
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import filelock
import msgspec
import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.bench_types import (
    BenchRecord,
    GateRecord,
    InferenceBenchRecord,
    SelfTestRecord,
    TrainingBenchRecord,
)
from mnist_bench.core.digest import sha256, sha256_of_file
from mnist_bench.core.errors import BadInput, OutputUnwritable, RecordDamaged, RunExists, RunNotFound
from mnist_bench.core.study_types import StudyRecord
from mnist_bench.core.types import (
    READABLE_VERSIONS,
    SCHEMA_VERSION,
    Artifact,
    Checkpoint,
    Manifest,
    ParityRecord,
    PartialEpoch,
    Record,
    SavedFile,
)

CHECKPOINT_FILE = re.compile(r"\.?(weights|optimizer)-\d{3,}p?-[0-9a-f]{8}\.safetensors(\.\d+\.tmp)?")
CONTROLS = re.compile(rb"\\\\|\\u00(?:[01][0-9a-fA-F]|7[fF]|[89][0-9a-fA-F])|\\[bfr]|\x7f|\xc2[\x80-\x9f]")
"""A backslash, or a control character other than a line feed and a tab, in JSON."""
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

DEFAULT_OUT = Path("exports")
PAGE = "report.html"
ASIDE = ".old"

Arrays = Mapping[str, NDArray[Any]]
Saved = Record | Manifest | ParityRecord | BenchRecord | StudyRecord
T = TypeVar("T", bound=Saved)
N = TypeVar("N", Record, StudyRecord)
NAMES: dict[type[Saved], str] = {
    Record: "run.json",
    Manifest: "manifest.json",
    ParityRecord: "parity.json",
    InferenceBenchRecord: "bench.json",
    TrainingBenchRecord: "bench-training.json",
    GateRecord: "gate.json",
    SelfTestRecord: "self-test.json",
    StudyRecord: "study.json",
}
UNFINISHED: dict[type[Saved], str] = {
    kind: name.replace(".json", "-unfinished.json") for kind, name in NAMES.items() if issubclass(kind, BenchRecord)
}
FOLDERS: dict[type[Saved], str] = {Record: "run", StudyRecord: "study"}
"""The records that have a folder of their own, and what it is called."""
DERIVED = tuple(name for kind, name in (*NAMES.items(), *UNFINISHED.items()) if kind not in FOLDERS)


def run_folder(out: Path, name: str) -> Path:
    """Return the folder of a run, which need not exist.

    Raises:
        BadInput: the name is not a plain one (letters, digits, dots, hyphens and underscores, at most 100), or is that
            of a study.
    """
    return _folder(out, name, Record, StudyRecord)


def study_folder(out: Path, name: str) -> Path:
    """Return the folder of a study, which need not exist; raises as `run_folder` does, also where it is a run's."""
    return _folder(out, name, StudyRecord, Record)


def _folder(out: Path, name: str, kind: type[Saved], other: type[Saved]) -> Path:
    if not NAME_PATTERN.fullmatch(name):
        raise BadInput(
            f"{FOLDERS[kind]} name {name!r} is not a plain name (letters, digits, '.', '-', '_'); "
            f"choose folders with --out"
        )
    if exists(out / name, other):
        raise BadInput(f"{name!r} in {out} is a {FOLDERS[other]}: choose another --{FOLDERS[kind]}")
    return out / name


def run_names(out: Path) -> tuple[str, ...]:
    """Return the names of the runs below a folder, the newest first."""
    return _names(out, Record)


def study_names(out: Path) -> tuple[str, ...]:
    """Return the names of the studies below a folder, the newest first."""
    return _names(out, StudyRecord)


def _names(out: Path, kind: type[Saved]) -> tuple[str, ...]:
    records = sorted(out.glob(f"*/{NAMES[kind]}"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return tuple(path.parent.name for path in records if NAME_PATTERN.fullmatch(path.parent.name))


def options(folder: Path, kind: type[Saved] = Record) -> str:
    """Return the options that name a run, or a study, on the command line."""
    return f"--{FOLDERS[kind]} {folder.name}{out_option(folder.parent)}"


def out_option(out: Path) -> str:
    """Return the option that names the folder of all runs, after a space; nothing for the default."""
    return "" if out == DEFAULT_OUT else f" --out {shlex.quote(str(out))}"


def exists(folder: Path, kind: type[Saved] = Record) -> bool:
    """Tell whether a folder holds a run, or a study, be it damaged or not."""
    return (folder / NAMES[kind]).exists()


def refuse_existing(folder: Path, kind: type[Saved] = Record) -> None:
    """Raise RunExists where a folder holds a run, or a study."""
    if exists(folder, kind):
        raise RunExists(
            f"{FOLDERS[kind]} {folder.name!r} is already in {folder.parent}: "
            f"go on with --resume, replace it with --overwrite, or choose another --{FOLDERS[kind]}"
        )


@contextlib.contextmanager
def locked(folder: Path, kind: type[Saved] = Record) -> Iterator[None]:
    """Create a run's or a study's folder and keep other processes from writing to it.

    Raises:
        OutputUnwritable: the folder cannot be created or written.
        RunExists: another process is writing it.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / ".lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            what = FOLDERS[kind]
            raise RunExists(
                f"{what} {folder.name!r} is being written by another process: choose another --{what}"
            ) from error
    try:
        for left in folder.glob(f".{NAMES[kind]}.*.tmp"):  # by a process that died: the lock's holder alone writes it
            left.unlink(missing_ok=True)
        _put_back(folder)
        yield
    finally:
        lock.release()


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
                _remove(temporary)
            raise


def _replace_folder(temporary: Path, path: Path) -> None:
    """Put a new folder in the place of a folder, or of a file: systems have no one step for that.

    A process that dies between the two leaves the old one under its other name; `locked` puts it back.
    """
    for file in temporary.iterdir():
        _sync_file(file)
    _sync_folder(temporary)
    aside = path.with_name(f".{path.name}{ASIDE}")
    _remove(aside)
    if path.exists():
        path.rename(aside)
    try:
        temporary.rename(path)
    except OSError:
        if aside.exists():
            aside.rename(path)
        raise
    _remove(aside)


def _put_back(folder: Path) -> None:
    """Give folders their name again that a process which died had put aside; remove them where the new ones are."""
    for aside in folder.glob(f".*{ASIDE}"):
        path = aside.with_name(aside.name.removeprefix(".").removesuffix(ASIDE))
        if path.exists():
            _remove(aside)
        else:
            aside.rename(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there wholly or not at all, even across a power cut; raises as `replacing` does."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


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
        what, here = FOLDERS[kind], ", ".join(_names(folder.parent, kind)) or "none"
        raise RunNotFound(
            f"no {what} {folder.name!r} in {folder.parent} ({several} there: {here}): {remedy}, "
            f"or give --{what} or --out"
        )
    return msgspec.structs.replace(record, name=folder.name)  # a folder may be copied under another name


def save_study(folder: Path, record: StudyRecord, *, new: bool) -> None:
    """Save a study as far as it has come; where it is new, what was drawn of an older one of its name is removed."""
    save(folder, record)
    if new:
        _remove_figures(folder)


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
            weights=_save_arrays(folder, f"weights-{stage}", weights),
            optimizer=_save_arrays(folder, f"optimizer-{stage}", optimizer),
            partial=partial,
        )
        record = msgspec.structs.replace(record, checkpoint=checkpoint)
        save(folder, record)
    except OutputUnwritable:
        _sweep(folder)
        raise
    with explained(folder):
        if new:  # what was made from another run of this name is no longer true
            _remove_derived(folder)
        _sweep(folder)
    return record


def load_arrays(folder: Path, saved: SavedFile) -> dict[str, NDArray[Any]]:
    """Read one of a checkpoint's files back, after checking that it holds the bytes that were saved.

    Raises:
        RecordDamaged: the file is missing or differs from what the record says.
    """
    return to_arrays(content(folder, saved), folder / saved.name)


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


def to_arrays(content: bytes, path: Path) -> dict[str, NDArray[Any]]:
    """Decode the content of a safetensors file; `path` is for the message of the error.

    Raises:
        RecordDamaged: it is not one.
    """
    import safetensors
    import safetensors.numpy

    try:
        return safetensors.numpy.load(content)
    except safetensors.SafetensorError as error:
        raise RecordDamaged(f"{path} cannot be read ({error}): restore it, or make it anew") from error


def to_safetensors(arrays: Arrays) -> bytes:
    """Encode arrays as a checkpoint's file holds them."""
    import safetensors.numpy

    return safetensors.numpy.save({name: np.require(array, requirements="C") for name, array in arrays.items()})


def _save_arrays(folder: Path, stem: str, arrays: Arrays) -> SavedFile:
    content = to_safetensors(arrays)
    digest = sha256(content)
    # Named by content: the next state never touches the files of the one before.
    name = f"{stem}-{digest[:8]}.safetensors"
    write_atomically(folder / name, content)
    return SavedFile(name=name, sha256=digest, size_bytes=len(content))


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
    """Return an older document as what it means now: until version 3 a row's format also said what was timed."""
    try:
        for part in filter(None, (document, document.get("confirmation"))):
            part["schema_version"] = SCHEMA_VERSION
            for row in part.get("rows", ()):
                if (kind := row["configuration"]["format"]) in ("null", "training"):
                    row["kind"], row["configuration"]["format"] = kind, ""
    except (KeyError, TypeError, AttributeError) as error:
        raise msgspec.ValidationError(f"its rows are none: {error!r}") from error
    return document


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


def _remove_derived(folder: Path) -> None:
    """Remove what was exported, measured and drawn from a run that has been replaced."""
    with contextlib.suppress(RecordDamaged):
        manifest = load(folder, Manifest)
        for artifact in manifest.artifacts if manifest else ():
            _remove(folder / artifact.name)
    for name in (*DERIVED, PAGE):
        (folder / name).unlink(missing_ok=True)
    _remove_figures(folder)
    for made in (*folder.glob("loadgen/*/mlperf_log_*.txt"), *folder.glob("tensorboard/events.out.tfevents.*")):
        made.unlink()


def _remove_figures(folder: Path) -> None:
    for made in folder.glob("figures/*.[ps][nv]g"):
        made.unlink()


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
