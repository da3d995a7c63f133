"""MLPerf LoadGen: a session under load, single-stream, offline, or open-loop at a stated rate."""

import shutil
import tempfile
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mnist_bench import parity
from mnist_bench.bench import inference
from mnist_bench.bench.session import Subject
from mnist_bench.core import child
from mnist_bench.core.errors import EnvironmentProblem, ParityBroken, RecordDamaged
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import Configuration

FOLDER, SUMMARY, DETAIL = "loadgen", "mlperf_log_summary.txt", "mlperf_log_detail.txt"
GRACE_S = 120
BATCH = 128


@dataclass(frozen=True)
class Load:
    """What LoadGen does; times in seconds, `rate_per_s` in queries a second, `batch_size` the most a call takes."""

    scenario: str
    duration_s: float
    rate_per_s: float
    latency_bound_s: float
    batch_size: int


@dataclass(frozen=True)
class Loaded:
    """What LoadGen says of a configuration: its summary's lines by name, and the file that was kept."""

    configuration: Configuration
    scenario: str
    summary: dict[str, str]
    path: Path

    @property
    def valid(self) -> bool:
        """Whether LoadGen accepts the result."""
        return self.summary.get("Result is") == "VALID"


def why_unavailable() -> Skipped | None:
    """Return why LoadGen cannot be used, or None."""
    if find_spec("mlperf_loadgen"):
        return None
    return Skipped("loadgen", "MLPerf LoadGen is not installed", "pip install mlcommons-loadgen")


def under_load(
    subject: Subject, target: parity.Target, load: Load, threads: int, device: str, question: inference.Asked
) -> Loaded:
    """Drive one session in a process of its own, and keep LoadGen's files in the run's folder.

    Raises:
        ChildFailed: the process hung or died.
        ParityBroken: its answers are wrong; nothing is kept.
        RecordDamaged: LoadGen left no summary.
    """
    logs = Path(tempfile.mkdtemp(dir=question.scratch))
    found = child.call(
        "mnist_bench.bench.loaded:serve",
        {
            "runtime": target.runtime,
            "model": asdict(target.model) | {"path": str(target.model.path.resolve())},
            "device": device,
            "threads": threads,
            "images": str(question.images),
            "answers": str(logs),
            "load": asdict(load),
            "logs": str(logs),
        },
        time_limit_s=3 * load.duration_s + GRACE_S,
        memory_limit_bytes=inference.memory_limit(device),
        died_exit_code=EnvironmentProblem.exit_code,
        folder=logs,
    )
    own = inference.configuration(target.runtime, target.model, device, found, threads, load.batch_size)
    for size in (1, load.batch_size):
        logits = np.load(logs / f"loaded-{size}.npy")
        result = parity.result(question.inputs, parity.Answer(own, logits, found["precision"]))
        if result.failures:
            raise ParityBroken(f"{own.target} gives wrong answers at batch {size}: {'; '.join(result.failures)}")
    return Loaded(own, load.scenario, *_kept(subject.folder, logs, own, load.scenario))


def _kept(folder: Path, logs: Path, configuration: Configuration, scenario: str) -> tuple[dict[str, str], Path]:
    place = folder / FOLDER / f"{scenario}-{configuration.target.replace(' ', '-')}-{configuration.threads}"
    if not (logs / SUMMARY).is_file():
        raise RecordDamaged("LoadGen left no summary: run it again")
    place.mkdir(parents=True, exist_ok=True)
    for name in (SUMMARY, DETAIL):
        shutil.copyfile(logs / name, place / name)
    return parse_summary((place / SUMMARY).read_text(encoding="utf-8")), place / SUMMARY


def parse_summary(text: str) -> dict[str, str]:
    """Return the lines `name : value` of LoadGen's summary, and those `name: value` of its early stopping."""
    parts = (line.partition(":") for line in text.splitlines())
    return {name.strip(" *"): value.strip() for name, colon, value in parts if colon and value.strip()}


def targets(subject: Subject, names: tuple[str, ...], device: str) -> list[parity.Target]:
    """Return what to drive: the runtimes that were named, or onnxruntime; raises as `parity.find_targets` does."""
    return parity.find_targets(subject.folder, subject.record, names or ("onnxruntime",), device).ready
