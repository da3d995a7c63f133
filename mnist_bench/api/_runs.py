"""Runs: what is in a folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import mnist_bench.report as reporting
from mnist_bench import store
from mnist_bench.api._shown import Shown
from mnist_bench.core.bench_types import InferenceBenchRecord
from mnist_bench.core.errors import BadInput, RunNotFound
from mnist_bench.core.types import EpochMetrics, ParityRecord, Record
from mnist_bench.report.views.training.overfitting import true_gap
from mnist_bench.stages.options import Place, data_folder

if TYPE_CHECKING:
    from mnist_bench.api._bench import Benchmark
    from mnist_bench.api._verify import Parity


@dataclass(frozen=True, slots=True, repr=False)
class Run(Shown):
    """A trained network: its `folder`, and its saved `record` as it was when this was made.

    `data_dir` is where its images were looked for first.
    """

    folder: Path
    record: Record
    data_dir: Path | None = None

    @property
    def name(self) -> str:
        """The run's name."""
        return self.record.name

    @property
    def epochs(self) -> tuple[EpochMetrics, ...]:
        """What was measured after each epoch: losses in nats an image, accuracies as shares, times in seconds."""
        return self.record.epochs

    @property
    def test_accuracy(self) -> float | None:
        """The share of the test images that are classified correctly, 0 to 1; None before training is finished."""
        return self.record.final.test.accuracy if self.record.final else None

    @property
    def overfitting_gap(self) -> float | None:
        """Training minus validation accuracy, both measured at the end with dropout off; a share, None before it."""
        return true_gap(self.record)

    @property
    def parity(self) -> "Parity | None":
        """What was found when its runtimes were compared; None where its present weights never were.

        Of a target whose file changed since, nothing is known: it is `unreachable`.
        """
        from mnist_bench.api._verify import Parity

        found = reporting.present_in(self.folder, ParityRecord)
        return Parity(self.folder, found) if found else None

    @property
    def benchmark(self) -> "Benchmark | None":
        """Its last finished benchmark of inference, of its present weights and files; None where there is none."""
        from mnist_bench.api._bench import Benchmark

        found = reporting.present_in(self.folder, InferenceBenchRecord)
        return Benchmark(self.folder, found) if found and found.finished and found.rows else None

    def _blocks(self) -> Iterator[reporting.Block]:
        material = reporting.gather([self.folder])
        yield reporting.closing(material, self.record, reporting.ViewOptions(out=self.folder.parent))
        yield from reporting.pictures(material, "learning-curves")

    def __repr__(self) -> str:
        accuracy = "not finished" if self.test_accuracy is None else f"test accuracy {self.test_accuracy:.2%}"
        done = f"{len(self.epochs)} of {self.record.config.epochs} epochs"
        return f"Run({self.name!r}, {done}, {accuracy}, folder={str(self.folder)!r})"


Named = Run | str | Path | None
"""A run; its name; its folder; or, where it is None, the newest."""


def open_run(folder: Place, *, data_dir: Place | None = None) -> Run:
    """Open what is in a run folder; nothing is trained.

    Args:
        folder: the run's, such as `exports/mnist-relu`.
        data_dir: where to look first for its images, where they are wanted.

    Raises:
        RunNotFound: the folder holds no run.
        RecordDamaged: its record cannot be read.
        BadInput: it is no path.
    """
    if not isinstance(folder, str | os.PathLike):
        raise BadInput(f"a run's folder is a path, not {folder!r}")
    place = Path(folder)
    return Run(place, store.load_record(place), data_folder(data_dir))


def folder_of(run: Named, out: Place) -> Path:
    """Return the folder of a run.

    Raises:
        RunNotFound: the newest is meant, and there is none.
        BadInput: the name is not a plain one, or it is no run at all.
    """
    match run:
        case Run():
            return run.folder
        case Path():
            return run
        case str():
            return store.run_folder(Path(out), run)
    if run is not None:
        raise BadInput(f"a run is a Run, its name, or its folder as a Path, not {run!r}")
    if not (names := store.run_names(Path(out))):
        raise RunNotFound(f"there is no run in {out}: train one with mnist_bench.train, or give out")
    return store.run_folder(Path(out), names[0])


def images_of(run: Named, data_dir: Place | None) -> Path | None:
    """Return where to look first for a run's images: the folder given, or where they were when it was trained."""
    if data_dir is None and isinstance(run, Run):
        return run.data_dir
    return data_folder(data_dir)
