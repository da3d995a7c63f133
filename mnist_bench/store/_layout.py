"""Where things are: one folder a run, one a study, below one folder of all."""

import re
from pathlib import Path

from mnist_bench.core.bench_types import (
    BenchRecord,
    GateRecord,
    InferenceBenchRecord,
    SelfTestRecord,
    TrainingBenchRecord,
)
from mnist_bench.core.errors import BadInput, RunExists
from mnist_bench.core.reading import is_there
from mnist_bench.core.study_types import StudyRecord
from mnist_bench.core.types import FleetRecord, Manifest, ParityRecord, Record

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Saved = Record | Manifest | ParityRecord | BenchRecord | StudyRecord
NAMES: dict[type[Saved], str] = {
    Record: "run.json",
    Manifest: "manifest.json",
    ParityRecord: "parity.json",
    FleetRecord: "processors.json",
    InferenceBenchRecord: "bench.json",
    TrainingBenchRecord: "bench-training.json",
    GateRecord: "gate.json",
    SelfTestRecord: "self-test.json",
    StudyRecord: "study.json",
}
UNFINISHED: dict[type[Saved], str] = {
    kind: name.replace(".json", "-unfinished.json") for kind, name in NAMES.items() if issubclass(kind, BenchRecord)
}
MADE_BY = {
    "manifest.json": "export",
    "parity.json": "verify",
    "processors.json": "verify --cpu all",
    "bench.json": "bench",
    "bench-training.json": "bench --training",
    "gate.json": "bench --gate",
    "self-test.json": "bench --self-test",
}
"""Which command makes a document of a run that is there."""
FOLDERS: dict[type[Saved], str] = {Record: "run", StudyRecord: "study"}
"""The records that have a folder of their own, and what it is called."""


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
    return names_of(out, Record)


def study_names(out: Path) -> tuple[str, ...]:
    """Return the names of the studies below a folder, the newest first."""
    return names_of(out, StudyRecord)


def names_of(out: Path, kind: type[Saved]) -> tuple[str, ...]:
    """Return the names of the folders that hold a kind of record, the newest first."""
    records = sorted(out.glob(f"*/{NAMES[kind]}"), key=lambda path: path.lstat().st_mtime_ns, reverse=True)
    return tuple(path.parent.name for path in records if NAME_PATTERN.fullmatch(path.parent.name))


def exists(folder: Path, kind: type[Saved] = Record) -> bool:
    """Tell whether a folder holds a run, or a study, be it damaged or not."""
    try:
        return is_there(folder / NAMES[kind])
    except OSError:  # it cannot be told: what may be there is not to be replaced
        return True


def is_of_a_run(path: Path) -> bool:
    """Tell whether a file is one of those that a run's, or a study's, folder consists of."""
    ours = {".lock", *NAMES.values(), *UNFINISHED.values()}
    named = path.name in ours or path.suffix == ".safetensors" or path.name.startswith("model")
    return named and any(exists(path.parent, kind) for kind in FOLDERS)


def check_new(folder: Path, kind: type[Saved] = Record, *, resumable: bool = True) -> None:
    """Raise RunExists where a folder holds a run, or a study; `resumable`: whether whoever asks could go on with it."""
    if exists(folder, kind):
        raise RunExists(
            f"{FOLDERS[kind]} {folder.name!r} is already in {folder.parent}: "
            f"{'go on with --resume, ' if resumable else ''}replace it with --overwrite"
            f"{',' if resumable else ''} or choose another --{FOLDERS[kind]}"
        )
