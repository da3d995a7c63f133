"""Everything that is reported of some runs, gathered from their folders."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from mnist_bench import store
from mnist_bench.analysis.learning import protocol_differences
from mnist_bench.core.bench_types import (
    BenchRecord,
    GateRecord,
    InferenceBenchRecord,
    SelfTestRecord,
    TrainingBenchRecord,
)
from mnist_bench.core.commands import line, on_run
from mnist_bench.core.dataset_names import how_to_find, shown
from mnist_bench.core.errors import MnistBenchError, RecordDamaged
from mnist_bench.core.kinds import DEFAULT_OUT, Skipped
from mnist_bench.core.study_types import StudyRecord
from mnist_bench.core.types import FleetRecord, Manifest, ParityRecord, Record
from mnist_bench.data import Dataset

S = TypeVar("S", bound="ParityRecord | BenchRecord")

BENCHMARKS: tuple[tuple[type[BenchRecord], str], ...] = (
    (InferenceBenchRecord, "bench"),
    (TrainingBenchRecord, "bench --training"),
    (GateRecord, "bench --gate"),
    (SelfTestRecord, "bench --self-test"),
)
NO_IMAGES = Skipped("images", "no dataset was loaded", "report --data-dir says where it is")


@dataclass(frozen=True)
class Material:
    """Training runs, and what was exported, compared and measured of their present weights; and studies.

    `fleets` are comparisons by processor. `stale` says of which documents the weights are not the present ones;
    `changed`, by run, of which targets the file is not the one that was compared, and why. `out` is the folder of their
    folders, for the commands that are named. `dataset` holds the images that the runs were trained on, or why they are
    not here.
    """

    records: Sequence[Record]
    manifests: Sequence[Manifest] = ()
    comparisons: Sequence[ParityRecord] = ()
    benchmarks: Sequence[BenchRecord] = ()
    stale: Sequence[str] = field(default=())
    changed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    studies: Sequence[StudyRecord] = ()
    fleets: Sequence[FleetRecord] = ()
    out: Path = DEFAULT_OUT
    dataset: Dataset | Skipped = NO_IMAGES

    @property
    def inference(self) -> list[InferenceBenchRecord]:
        """The benchmarks of inference."""
        return [one for one in self.benchmarks if isinstance(one, InferenceBenchRecord)]

    @property
    def training(self) -> list[TrainingBenchRecord]:
        """The benchmarks of training."""
        return [one for one in self.benchmarks if isinstance(one, TrainingBenchRecord)]

    def inference_of(self, record: Record) -> InferenceBenchRecord | None:
        """Return the benchmark of a run's inference, if there is one."""
        return next((one for one in self.inference if one.name == record.name), None)

    def comparison_of(self, record: Record) -> ParityRecord | None:
        """Return what was compared of a run, if anything was."""
        return next((one for one in self.comparisons if one.name == record.name), None)

    def fleet_of(self, record: Record) -> FleetRecord | None:
        """Return what was compared of a run by processor, if anything was."""
        return next((one for one in self.fleets if one.name == record.name), None)

    def manifest_of(self, record: Record) -> Manifest | None:
        """Return what was exported of a run, if anything was."""
        return next((one for one in self.manifests if one.run == record.name), None)

    def changed_of(self, name: str) -> Mapping[str, str]:
        """Return of which of a run's targets the file is not the one that was compared, and why."""
        return self.changed.get(name, {})

    def command_of_first(self, name: str, *words: str) -> str:
        """Spell a command line about the first of the runs; a figure of studies alone has none."""
        return self.command(name, self.records[0], *words) if self.records else line(name, *words, out=self.out)

    def command(self, name: str, record: Record, *words: str) -> str:
        """Spell a command line about one of the runs."""
        return on_run(name, self.out / record.name, *words)


def gather(folders: Sequence[Path]) -> Material:
    """Read everything that some run folders hold, but for the images.

    Raises:
        RunNotFound: a folder holds no run.
        RecordDamaged: a document cannot be read, or is one of another schema version.
    """
    records = [store.load_record(folder) for folder in folders]
    runs = list(zip(folders, records, strict=True))
    stale: list[str] = []
    material = Material(
        records=records,
        manifests=[
            replace(found, run=record.name) for folder, record in runs if (found := store.load(folder, Manifest))
        ],
        comparisons=list(_of_present_weights(runs, ParityRecord, "verify", stale)),
        fleets=list(_of_present_weights(runs, FleetRecord, "verify --cpu", stale)),
        benchmarks=[one for kind, how in BENCHMARKS for one in _of_present_weights(runs, kind, how, stale)],
        stale=stale,
        out=folders[0].parent if folders else DEFAULT_OUT,
    )
    changed = {record.name: _changed(material, folder, record) for folder, record in runs}
    return dataclasses.replace(material, changed=changed)


def gather_studies(folders: Sequence[Path]) -> list[StudyRecord]:
    """Read the studies that some folders hold; raises as `gather` does."""
    return [store.load_study(folder) for folder in folders]


def with_studies_beside(material: Material, out: Path) -> Material:
    """Add the studies in a folder that train as the runs were trained; say which cannot be read."""
    studies, complaints = [], []
    for name in store.study_names(out):
        try:
            found = store.load_study(store.study_folder(out, name))
        except RecordDamaged as error:
            complaints.append(f"study {name} is left out: {error}")
            continue
        if any(not protocol_differences(record, found) for record in material.records):
            studies.append(found)
    return dataclasses.replace(material, studies=studies, stale=[*material.stale, *complaints])


def _of_present_weights(
    runs: Sequence[tuple[Path, Record]], kind: type[S], command: str, stale: list[str]
) -> Iterator[S]:
    """Yield what a command found of these runs, where it was of their present weights."""
    for folder, record in runs:
        saved = store.load(folder, kind)
        if saved is None and kind in store.UNFINISHED:
            saved = store.load_unfinished(folder, kind)
        weights = record.checkpoint and record.checkpoint.weights.sha256
        if saved and saved.weights_sha256 == weights:
            yield replace(saved, name=record.name)  # a folder may be copied under another name
        elif saved:
            stale.append(f"{record.name} was trained further since: run {command} again")


def _changed(material: Material, folder: Path, record: Record) -> dict[str, str]:
    """Return the targets of a run of which the file that was compared is no longer there as it was, and why."""
    compared, manifest = (material.comparison_of(record), material.fleet_of(record)), material.manifest_of(record)
    results = [result for one in compared if one for result in one.results]
    asked = {result.sha256 for result in results} - {record.checkpoint and record.checkpoint.weights.sha256, None}
    files = {entry.sha256: entry for entry in (manifest.artifacts if manifest else ()) if entry.sha256 in asked}
    damaged = {sha256 for sha256, entry in files.items() if not store.is_whole(folder, entry)}
    gone, found = asked - files.keys(), dict[str, str]()
    for result in results:
        name, sha256 = result.configuration.target, result.sha256
        if sha256 in damaged:
            found[name] = f"{files[sha256].name} is missing, or not as it was exported: export it again"
        elif sha256 in gone:
            found[name] = f"its {result.configuration.format} file was removed, or exported again, since"
    return found


def matching_images(records: Sequence[Record], load: Callable[[], Dataset]) -> Dataset | Skipped:
    """Load the images that some runs were trained on; or say why they are not here."""
    if len({frozenset(record.dataset.sha256.items()) for record in records}) > 1:
        return Skipped("images", "the runs are of different datasets", "report them one by one")
    try:
        dataset = load()
    except MnistBenchError as error:
        return Skipped("images", str(error), NO_IMAGES.remedy)
    called = shown(dataset.name)
    if dataset.sha256 != records[0].dataset.sha256:
        return Skipped("images", f"this is not the {called} that was trained on", how_to_find(dataset.name))
    if any(_counted_otherwise(record, dataset) for record in records):
        return Skipped("images", f"a record counts those of {called} otherwise", "restore its run.json")
    return dataset


def _counted_otherwise(record: Record, dataset: Dataset) -> bool:
    """Tell whether a record's images or classes are not those of the dataset: they could not be shown."""
    said = record.dataset
    return said.test_images != len(dataset.test) or len(said.classes) != len(dataset.classes)
