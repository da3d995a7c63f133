"""Contenders of inference: a run's weights and exported files in every runtime that is here."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from mnist_bench import data, parity, runtimes
from mnist_bench.bench.blocks import Contender, Outcome, Wrong
from mnist_bench.core import child
from mnist_bench.core.bench_types import BenchPlan, Row, Sample
from mnist_bench.core.digest import sha256_of_file
from mnist_bench.core.errors import BadInput, EnvironmentProblem
from mnist_bench.core.types import Absent, Configuration, Record

NULL = "null"
UNCHECKED = "answers nothing"
MEASURED = ("first_call_s", "warm_up_calls", "warm_up_s", "peak_resident_bytes", "peak_device_bytes")


@dataclass(frozen=True)
class Asked:
    """What every process is asked: the images, with the reference's answers, in a file within a folder for answers."""

    inputs: parity.Inputs
    scratch: Path

    @property
    def images(self) -> Path:
        """The file of the images."""
        return self.scratch / "images.npy"


@contextmanager
def asked(folder: Path, record: Record, dataset: data.Dataset) -> Iterator[Asked]:
    """Evaluate the reference on a run's images, and keep them where processes find them while this lasts."""
    weights = parity.weights_of(folder, record)
    with tempfile.TemporaryDirectory(prefix="mnist-bench-") as scratch:
        found = Asked(parity.build_inputs(dataset, weights), Path(scratch))
        np.save(found.images, found.inputs.images)
        yield found


def contenders(
    folder: Path, record: Record, plan: BenchPlan, names: Sequence[str], question: Asked, python: Sequence[str] = ()
) -> tuple[list[Contender], tuple[Absent, ...]]:
    """Return whom to measure, and what cannot be measured here.

    Args:
        folder: the run's folder.
        record: its record.
        plan: how to measure.
        names: runtimes; all that are here where there are none.
        question: see `asked`.
        python: the command that starts another installation's interpreter; none for this one.

    Raises:
        BadInput: there is nothing to measure.
        RecordDamaged: a file differs from the manifest.
        TargetUnavailable: a runtime that was named cannot be used here.
    """
    answering = tuple(name for name in names if name != NULL)
    targets = parity.Targets()
    if answering or not names:
        targets = parity.find_targets(folder, record, answering, plan.device)
    found = [_contender(target.runtime, target.model, plan, question, python) for target in targets.ready]
    if (NULL in names or not names) and plan.device == "cpu":
        found.append(_contender(NULL, None, plan, question, python))
    if not found:
        raise BadInput(
            f"there is nothing to measure on {plan.device} in {folder}: name other runtimes, or export first"
        )
    return found, tuple(targets.skipped)


def _contender(
    runtime: str, model: runtimes.Model | None, plan: BenchPlan, question: Asked, python: Sequence[str]
) -> Contender:
    digest = sha256_of_file(model.path) if model else None
    name = target_name(runtime, model.precision if model else "fp32")
    return Contender("", name, Process(runtime, model, plan, question, tuple(python), digest), digest)


def target_name(runtime: str, precision: str) -> str:
    """Name a target, whatever the device: `onnxruntime int8`."""
    return runtime if precision == "fp32" else f"{runtime} {precision}"


@dataclass(frozen=True)
class Process:
    """Measures one target in a fresh process: all threads and batch sizes of the plan."""

    runtime: str
    model: runtimes.Model | None
    plan: BenchPlan
    question: Asked
    python: tuple[str, ...] = ()
    sha256: str | None = None

    def __call__(self, block: int, position: int) -> Outcome:
        """See `Measurement`; the threads take turns in being first."""
        argument: dict[str, Any] = {
            "runtime": self.runtime,
            "model": _builtins(self.model),
            "device": self.plan.device,
            "images": str(self.question.images),
            "answers": str(self.question.scratch) if self.model and (block == 0 or not self.python) else None,
        }
        if not self.python:  # another installation may be older, and answers in the first block alone
            argument["answer_all"] = block == 0
        if self.model and sha256_of_file(self.model.path) != self.sha256:
            raise child.ChildFailed(f"{self.model.path} changed while it was benchmarked", BadInput.exit_code)
        found = measured(
            "mnist_bench.bench.worker:measure", argument, self.plan, block, self.question.scratch, self.python
        )
        outcomes = [
            self._outcome(found, session, batch, block, position)
            for session in found["sessions"]
            for batch in session["batches"]
        ]
        return Outcome.of(outcomes)

    def _outcome(
        self, found: dict[str, Any], session: dict[str, Any], batch: dict[str, Any], block: int, position: int
    ) -> Row | Wrong:
        """Make a row of one sample; or say what is wrong with the answers."""
        ran = found | {"provider": session["provider"]}
        own = configuration(self.runtime, self.model, self.plan.device, ran, session["threads"], batch["batch_size"])
        checked, deviations = UNCHECKED, 0
        if batch["answers_file"]:
            logits = np.load(self.question.scratch / batch["answers_file"])
            answer = parity.Answer(own, logits, session["precision"])
            result = parity.result(self.question.inputs.first(len(logits)), answer)
            if result.failures:
                return Wrong(own.threads, own.batch_size, f"wrong answers: {'; '.join(result.failures)}")
            checked, deviations = parity.RUNGS[result.rung], len(result.deviations)
        first_session, first_batch = session is found["sessions"][0], batch is session["batches"][0]
        sample = Sample(
            block=block,
            position=position,
            import_s=found["import_s"] if first_session and first_batch else None,
            load_s=session["load_s"] if first_batch else None,
            images=batch["batch_size"],
            times_s=tuple(batch["times_s"]),
            **{name: batch[name] for name in MEASURED},
        )
        return Row(
            configuration=own,
            size_bytes=self.model.path.stat().st_size if self.model else None,
            checked=checked,
            deviations=deviations,
            samples=(sample,),
        )


def configuration(
    runtime: str, model: runtimes.Model | None, device: str, found: dict[str, Any], threads: int, batch_size: int
) -> Configuration:
    """Describe a configuration that was run; `found` holds the version and the provider that were read back."""
    return Configuration(
        runtime=runtime,
        version=found["version"],
        format=model.format if model else NULL,
        precision=model.precision if model else "fp32",
        device=device,
        provider=found["provider"],
        threads=threads,
        batch_size=batch_size,
    )


def _builtins(model: runtimes.Model | None) -> dict[str, Any]:
    return asdict(model) | {"path": str(model.path.resolve())} if model else {}


def measured(
    function: str,
    argument: dict[str, Any],
    plan: BenchPlan,
    block: int,
    folder: Path | None = None,
    python: Sequence[str] = (),
) -> Any:
    """Let a fresh process measure by a plan, within its limits; the threads take turns in being first."""
    turn = block % len(plan.threads)
    planned = {
        "threads": [*plan.threads[turn:], *plan.threads[:turn]],
        "batch_sizes": sorted(plan.batch_sizes),
        "warm_up": {"calls": plan.warm_up_calls, "seconds": plan.warm_up_s},
    }
    return child.call(
        function,
        argument | planned,
        time_limit_s=plan.time_limit_s,
        memory_limit_bytes=memory_limit(plan.device),
        died_exit_code=EnvironmentProblem.exit_code,
        folder=folder,
        python=python,
    )


def memory_limit(device: str) -> int | None:
    """Return how much memory a measured process may take, in bytes: what is free; unlimited for CUDA."""
    return psutil.virtual_memory().available if device == "cpu" else None
