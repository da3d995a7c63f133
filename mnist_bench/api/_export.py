"""Exporting."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mnist_bench.report as reporting
from mnist_bench import environment, store
from mnist_bench.api._progress import told
from mnist_bench.api._runs import Named, folder_of, images_of
from mnist_bench.api._shown import Shown
from mnist_bench.api._stopping import ending_as_ctrl_c
from mnist_bench.core.errors import BadInput, MnistBenchError
from mnist_bench.core.kinds import DEFAULT_OUT, Skipped
from mnist_bench.core.types import Artifact, Manifest
from mnist_bench.stages import exporting
from mnist_bench.stages.exporting import Outcome
from mnist_bench.stages.options import Place, Words, words
from mnist_bench.stages.requests import Export


@dataclass(frozen=True, slots=True, repr=False)
class Exports(Shown):
    """What was exported: `record` is the run's manifest, with all its files; `outcomes` are of this call.

    An outcome is a format, a precision, and its file, why it was skipped, or what failed.
    """

    folder: Path
    record: Manifest
    outcomes: tuple[Outcome, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, and folders, that this call has written."""
        return tuple(self.folder / done.name for *_, done in self.outcomes if isinstance(done, Artifact))

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What this machine lacks, and what would bring it."""
        return tuple(done for *_, done in self.outcomes if isinstance(done, Skipped))

    @property
    def failed(self) -> tuple[tuple[str, str, MnistBenchError], ...]:
        """What failed: format, precision and error."""
        return tuple((name, kind, done) for name, kind, done in self.outcomes if isinstance(done, MnistBenchError))

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    def _blocks(self) -> Iterator[reporting.Block]:
        yield reporting.exports_table(self.folder.name, self.outcomes)

    def __repr__(self) -> str:
        counts = f"{len(self.files)} written, {len(self.skipped)} skipped, {len(self.failed)} failed"
        return f"Exports({self.folder.name!r}, {counts}, folder={str(self.folder)!r})"


def export(
    run: Named = None,
    formats: Words = "onnx",
    precisions: Words = "fp32",
    *,
    device: str = "cpu",
    opset: int | None = None,
    out: Place = DEFAULT_OUT,
    data_dir: Place | None = None,
    check: bool = True,
    progress: bool = True,
) -> Exports:
    """Write a trained network for deployment, into its run folder, as `mnist-bench export` does.

    Args:
        run: a `Run`, its name in `out`, or its folder as a Path; the newest where it is None.
        formats: one or several, such as `onnx`, `torchscript` and `c`; or `all` that this machine can write.
        precisions: one or several of `fp32`, `fp16`, `int8` and `int8-dynamic`; or `all` that a format can hold.
        device: what `aotinductor` compiles for.
        opset: of ONNX; where it is None, the exporter's.
        out: the folder of the run folders.
        data_dir: where to look first for the images that int8 is calibrated on.
        check: raise where a format failed, or was named and is skipped; without it, the result tells.
        progress: show what is being written.

    Raises:
        RunNotFound: there is no such run.
        BadInput: there is no such format, or it cannot hold such a precision.
        ChildFailed: a format failed; the others are written.
        TargetUnavailable: this machine lacks what a format needs.
    """
    folder = folder_of(run, out)
    asked = Export(
        names=words("formats", formats),
        precisions=words("precisions", precisions),
        name=None,
        out=folder.parent,
        opset=opset,
        device=environment.resolve_device(device),
        data_dir=images_of(run, data_dir),
        quiet=not progress,
    )
    if not (asked.names and asked.precisions):
        raise BadInput("there is nothing to export: name a format, and a precision")
    with ending_as_ctrl_c("the files that were done are there"), told(progress) as shown:
        _, outcomes = exporting.export(folder, asked, shown.begin)
    if check:
        exporting.check(outcomes, skipping_is_failing="all" not in asked.names)
    return Exports(folder, store.load(folder, Manifest) or Manifest(run=folder.name), tuple(outcomes))
