"""Everything that is reported of some runs, gathered from their folders."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
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
from mnist_bench.report._standing import Present, standing, still_here

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

    Of comparisons, `fleets` are those by processor, and of benchmarks of inference there is what still stands: of files
    that are there now. `stale` says of which documents the weights are not the present ones. `out` is the folder of
    their folders, for the commands that are named. `dataset` holds the images that the runs were trained on, or why
    they are not here.
    """

    records: Sequence[Record]
    manifests: Sequence[Manifest] = ()
    comparisons: Sequence[ParityRecord] = ()
    benchmarks: Sequence[BenchRecord] = ()
    stale: Sequence[str] = field(default=())
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
    runs, stale = [Present.read(folder) for folder in folders], list[str]()
    return Material(
        records=[run.record for run in runs],
        manifests=[run.manifest for run in runs if run.manifest],
        comparisons=list(_of_present(runs, ParityRecord, "verify", stale)),
        fleets=list(_of_present(runs, FleetRecord, "verify --cpu", stale)),
        benchmarks=[one for kind, how in BENCHMARKS for one in _of_present(runs, kind, how, stale)],
        stale=stale,
        out=folders[0].parent if folders else DEFAULT_OUT,
    )


def present_in(folder: Path, kind: type[S]) -> S | None:
    """Read what was found of a run's present weights and files, if anything was; raises as `gather` does."""
    return next(_of_present([Present.read(folder)], kind, "", []), None)


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


def _of_present(runs: Sequence[Present], kind: type[S], command: str, stale: list[str]) -> Iterator[S]:
    """Yield what a command found of these runs, where it was of their present weights; of comparisons what stands."""
    for run in runs:
        saved = store.load(run.folder, kind)
        if saved is None and kind in store.UNFINISHED:
            saved = store.load_unfinished(run.folder, kind)
        weights = run.record.checkpoint and run.record.checkpoint.weights.sha256
        if saved and saved.weights_sha256 == weights:
            named = replace(saved, name=run.record.name)  # a folder may be copied under another name
            if isinstance(named, InferenceBenchRecord) and not all(run.holds(row.sha256) for row in named.rows):
                stale.append(f"{run.record.name} was exported again since it was timed: run {command} again")
            yield standing(named, run) if isinstance(named, ParityRecord) else still_here(named, run)
        elif saved:
            stale.append(f"{run.record.name} was trained further since: run {command} again")


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
