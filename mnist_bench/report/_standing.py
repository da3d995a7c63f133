"""What of a saved comparison or benchmark still stands: an answer, and a time, are of the very file that gave them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from mnist_bench import store
from mnist_bench.analysis.parity import certificates_of
from mnist_bench.core.bench_types import BenchRecord, InferenceBenchRecord
from mnist_bench.core.commands import on_run
from mnist_bench.core.kinds import WEIGHTS
from mnist_bench.core.types import (
    Absent,
    Artifact,
    FleetRecord,
    Manifest,
    ParityRecord,
    ParityResult,
    Record,
    SavedFile,
)

P = TypeVar("P", bound=ParityRecord)
B = TypeVar("B", bound=BenchRecord)


@dataclass(frozen=True)
class Present:
    """A run as it is in its folder now: its record, and what was exported of it. A file is read once."""

    folder: Path
    record: Record
    manifest: Manifest | None
    _whole: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "Present":
        """Read what is in a run's folder.

        Raises:
            RunNotFound: it holds no run.
            RecordDamaged: its record or its manifest cannot be read, or is one of another schema version.
        """
        record, found = store.load_record(folder), store.load(folder, Manifest)
        return cls(folder, record, found and replace(found, run=record.name))

    def why_gone(self, result: ParityResult) -> str:
        """Say why a result is not of a file that is here now; nothing where it is, or where it opened none."""
        kind, here = result.configuration.format, self._opened(result)
        if damaged := next((one for one in here if not self._is_whole(one)), None):
            how = "export it again" if isinstance(damaged, Artifact) else "restore it"
            return f"{damaged.name} is missing, or not as it was saved: {how}"
        if kind and not here:
            return f"its {kind} file was removed, or exported again, since it was verified"
        return ""

    def holds(self, sha256: str | None) -> bool:
        """Tell whether the run has a file of this hash, or there is no file that it would need."""
        return sha256 is None or any(one.sha256 == sha256 for _, one in self._files())

    def _files(self) -> list[tuple[str, Artifact | SavedFile]]:
        """Return all files, each with its format."""
        exported, checkpoint = self.manifest.artifacts if self.manifest else (), self.record.checkpoint
        files: list[tuple[str, Artifact | SavedFile]] = [(one.format, one) for one in exported]
        return [*files, (WEIGHTS, checkpoint.weights)] if checkpoint else files

    def _opened(self, result: ParityResult) -> list[Artifact | SavedFile]:
        """Return what a result is of; where it does not say, as before schema version 9, all files of its format."""
        kind, sha256 = result.configuration.format, result.sha256
        return [one for of, one in self._files() if (one.sha256 == sha256 if sha256 else of == kind)]

    def _is_whole(self, file: Artifact | SavedFile) -> bool:
        if file.name not in self._whole:
            self._whole[file.name] = store.is_whole(self.folder, file)
        return self._whole[file.name]


def standing(compared: P, run: Present) -> P:
    """Return a comparison without the answers of files that are not here any more as they were compared.

    Their targets are `unreachable`, with the reason: nothing is known of them. What failed stays, whatever became of
    its file.
    """
    gone, kept = dict[str, str](), list[ParityResult]()
    for one in compared.results:
        if why := "" if one.failures else run.why_gone(one):
            gone[one.configuration.target] = why
        else:
            kept.append(one)
    if not gone:
        return compared
    still = {one.configuration.target for one in kept}
    here = {one.sha256 for one in kept}
    return replace(
        compared,
        results=tuple(kept),
        unreachable=(*compared.unreachable, *_lost(compared, run, gone)),
        saturation={name: found for name, found in compared.saturation.items() if name in still},
        layers=tuple(one for one in compared.layers if one.target in still),
        shares=tuple(one for one in compared.shares if one.sha256 in here),
        quantised=tuple(certificates_of(compared, kept)),
    )


def still_here(measured: B, run: Present) -> B:
    """Return a benchmark of inference without the rows of files that the run does not hold any more; others as is."""
    if not isinstance(measured, InferenceBenchRecord):
        return measured
    return replace(measured, rows=tuple(row for row in measured.rows if run.holds(row.sha256)))


def _lost(compared: ParityRecord, run: Present, gone: Mapping[str, str]) -> list[Absent]:
    """Name the targets of files that are gone, and how they are verified again.

    Of a comparison by processor, this machine's own processor is there to compare with, and is not named.
    """
    words, native = list[str](), set[str]()
    if isinstance(compared, FleetRecord):
        words = ["--cpu", ",".join(one.name for one in compared.processors)]
        native = {one.configuration.target for one in compared.results if not one.configuration.processor}
    again = on_run("verify", run.folder, *words)
    return [
        Absent(target=target, reason=why, remedy=f"run {again}") for target, why in gone.items() if target not in native
    ]
