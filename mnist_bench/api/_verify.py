"""Verifying."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import mnist_bench.report as reporting
from mnist_bench import data, store
from mnist_bench.analysis.parity import by_target, flipped, judge
from mnist_bench.api._progress import told, warn
from mnist_bench.api._runs import Named, folder_of, images_of
from mnist_bench.api._shown import Shown, View
from mnist_bench.api._stopping import ending_as_ctrl_c
from mnist_bench.core.kinds import DEFAULT_OUT, Precision
from mnist_bench.core.types import ParityRecord
from mnist_bench.stages import verifying
from mnist_bench.stages.options import (
    Numbers,
    Place,
    Words,
    dataset_name,
    numbers,
    one_of,
    path,
    positive,
    whole,
    words,
)
from mnist_bench.stages.options import threads as counted
from mnist_bench.stages.requests import Verify

LONGEST_S, MOST_MIB = 86_400, 2**24
SHOWN = ("runtimes", "flips", "diagnosis", "unreachable", "skipped")


@dataclass(frozen=True, slots=True, repr=False)
class Parity(Shown):
    """Whether runtimes give the reference's answers: the run's `folder`, and the `record`.

    `model` is the name of the file that was compared with the run, where that is none of the run's.
    """

    folder: Path
    record: ParityRecord
    model: str = ""

    @property
    def passed(self) -> bool:
        """Whether all targets answered, and as they should; not where there are none."""
        results = self.record.results
        return bool(results) and not self.record.unreachable and not any(result.failures for result in results)

    @property
    def _state(self) -> reporting.State:
        wrong = any(result.failures for result in self.record.results)
        return "passed" if self.passed else "failed" if wrong else "unknown"

    @property
    def flips(self) -> dict[str, int]:
        """On how many test images each target's worst configuration predicts another class than the reference."""
        return {name: flipped(self.record, results) for name, results in by_target(self.record).items()}

    @property
    def certified(self) -> int:
        """How many test images are proved to be predicted alike by every float32 runtime."""
        return self.record.certificate.certified

    def tables(self, *names: str) -> View:
        """Return some tables, such as `runtimes` or `flips`; all where none is named."""
        return View(tuple(reporting.parity_tables(self.record, _options(self.folder), names)))

    def _blocks(self) -> Iterator[reporting.Block]:
        yield reporting.Verdict(self._state, reporting.parity_line(self.record, self.model))
        for name in SHOWN:
            tables = reporting.parity_tables(self.record, _options(self.folder), [name])
            if name != "flips" or any(self.flips.values()):
                yield from (table for table in tables if table.rows)

    def __repr__(self) -> str:
        word = "passed" if self.passed else reporting.WORD_OF[self._state]
        targets = by_target(self.record)
        beside = f"model={self.model!r}, " if self.model else ""
        return f"Parity({self.record.name!r}, {beside}{word}, {len(targets)} targets, folder={str(self.folder)!r})"


def _options(folder: Path) -> reporting.ViewOptions:
    return reporting.ViewOptions(out=folder.parent)


def verify(
    run: Named = None,
    *,
    runtimes: Words = (),
    batch_sizes: Numbers = (),
    threads: Numbers = (),
    device: str = "cpu",
    hosts: Words = (),
    dataset: Place | None = None,
    model: Place | None = None,
    precision: Precision | None = None,
    output: str = "",
    assume: Words = (),
    layers: bool = False,
    trust_code: bool = False,
    time_limit: float | None = None,
    memory_limit: int | None = None,
    out: Place = DEFAULT_OUT,
    data_dir: Place | None = None,
    check: bool = True,
    progress: bool = True,
) -> Parity:
    """Compare every runtime with the network in float64, image by image, as `mnist-bench verify` does.

    Args:
        run: a `Run`, its name in `out`, or its folder as a Path; the newest where it is None.
        runtimes: those to compare; all that are here where none is named.
        batch_sizes: images a call; 1, 7, 128 and 10,000 where none is given.
        threads: CPU threads; 1 and all where none is given.
        device: `cpu`, `cuda` or `cuda:N`.
        hosts: where: `here`, `node`, `browser`, `cpp`, or an emulated processor.
        dataset: other images than the run was trained on.
        model: a foreign model file, instead of the run's own; what is found of it is not saved.
        precision: what the foreign file claims to be.
        output: which output of a foreign ONNX file is the answer, of several.
        assume: what to take for granted of a foreign file, such as `softmax`.
        layers: look at every layer too.
        trust_code: load a foreign file that is a program.
        time_limit: seconds that a process may take.
        memory_limit: MiB that a process may allocate.
        out: the folder of the run folders.
        data_dir: where to look first for the images.
        check: raise where a target fails; without it, `passed` tells.
        progress: show which configuration is at work.

    Raises:
        ParityBroken: a target does not give the reference's answers.
        Unanswered: a target could not be asked.
        RunNotFound: there is no such run.
        BadInput: an option has no such value.
    """
    folder = folder_of(run, out)
    if precision is not None:
        one_of("precision", precision, get_args(Precision))
    asked = Verify(
        name=None,
        out=folder.parent,
        data_dir=images_of(run, data_dir),
        device=device,
        runtimes=words("runtimes", runtimes),
        places=words("hosts", hosts),
        commands=(),
        command_format="onnx",
        batch_sizes=numbers("batch_sizes", batch_sizes),
        threads=counted(threads),
        dataset=None if dataset is None else dataset_name(dataset),
        model_file=path(model),
        precision=precision,
        output=output,
        trust_code=trust_code,
        time_limit=None if time_limit is None else positive("time_limit", time_limit, LONGEST_S),
        memory_limit=None if memory_limit is None else whole("memory_limit", memory_limit, MOST_MIB),
        layers=layers,
        assumptions=words("assume", assume),
    )
    found = _found(folder, asked, progress)
    if check:
        judge(found)
    return Parity(folder, found, asked.model_file.name if asked.model_file else "")


def _found(folder: Path, asked: Verify, progress: bool) -> ParityRecord:
    record = store.load_record(folder)
    with ending_as_ctrl_c("nothing was saved"), told(progress) as shown:
        shown.begin("evaluating the float64 reference")
        plan, absent = verifying.plan_of(asked)
        loaded = data.load(asked.dataset or record.config.dataset, asked.data_dir)
        dataset = loaded.with_classes_of(record.dataset.classes)
        found = verifying.compare(folder, dataset, plan, asked, absent, shown.on_event)
    if verifying.is_of_the_run(record, dataset, plan, asked) and (complaint := verifying.save(folder, found, asked)):
        warn(complaint)
    return found
