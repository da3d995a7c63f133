"""MLPerf LoadGen: a session under load, single-stream, offline, or open-loop at a stated rate."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mnist_bench import hosts, parity, runtimes, store
from mnist_bench.analysis.load import Loaded, parse_summary
from mnist_bench.bench.session import Subject
from mnist_bench.core.errors import ParityBroken, RecordDamaged
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import Configuration

FOLDER, SUMMARY, DETAIL = "loadgen", "mlperf_log_summary.txt", "mlperf_log_detail.txt"
GRACE_S = 120  # to import, load, warm up and answer the images for the check
BATCH = 128


@dataclass(frozen=True)
class Load:
    """What LoadGen does; times in seconds, `rate_per_s` in queries a second, `batch_size` the most a call takes."""

    scenario: str
    duration_s: float
    rate_per_s: float
    latency_bound_s: float
    batch_size: int


def why_unavailable() -> Skipped | None:
    """Return why LoadGen cannot be used, or None."""
    if find_spec("mlperf_loadgen"):
        return None
    return Skipped("loadgen", "MLPerf LoadGen is not installed", "pip install mlcommons-loadgen")


def under_load(
    subject: Subject, target: parity.Target, load: Load, threads: int, device: str, inputs: parity.Inputs
) -> Loaded:
    """Drive one session in a worker of its own, and keep LoadGen's files in the run's folder.

    Raises:
        Unreachable: the worker hung or died.
        RuntimeFailed: the runtime raised an error.
        ParityBroken: its answers are wrong; nothing is kept.
        RecordDamaged: LoadGen left no summary.
    """
    limits = hosts.Limits(3 * load.duration_s + GRACE_S, parity.memory_limit(device))
    spec = runtimes.Spec(device, threads, target.precision)
    with hosts.started(target.launch, target.model, limits) as worker:
        hello = worker.greet(target.runtime, device)
        worker.open(target.model, spec)
        found = worker.load(inputs.images, asdict(load))
        effective = worker.inspect()
    own = parity.configuration(target, hello, spec, load.batch_size, effective.provider)
    for name, size in (("logits_1", 1), ("logits_n", load.batch_size)):
        result = parity.result(
            target, inputs, parity.Answer(own, found.get(name), effective.precision, "it gave no answers")
        )
        if result.failures:
            raise ParityBroken(f"{own.target} gives wrong answers at batch {size}: {'; '.join(result.failures)}")
    return Loaded(own, load.scenario, *_kept(subject.folder, found, own, load.scenario))


def _kept(
    folder: Path, found: Mapping[str, NDArray[Any]], configuration: Configuration, scenario: str
) -> tuple[dict[str, str], Path]:
    name = f"{scenario}-{configuration.target.replace(' ', '-')}-{configuration.threads}"
    if "summary" not in found:
        raise RecordDamaged("LoadGen left no summary: run it again")
    place = store.subfolder(folder, FOLDER, name.replace("/", "-"))
    store.declare(folder, f"{FOLDER}/*/{SUMMARY}", f"{FOLDER}/*/{DETAIL}")
    for name, file in (("summary", SUMMARY), ("detail", DETAIL)):
        store.write_atomically(place / file, found[name].tobytes() if name in found else b"")
    return parse_summary((place / SUMMARY).read_text(encoding="utf-8")), place / SUMMARY


def targets(subject: Subject, names: tuple[str, ...], device: str) -> list[parity.Target]:
    """Return what to drive: the runtimes that were named, or onnxruntime; raises as `parity.find_targets` does."""
    return parity.find_targets(subject.folder, subject.record, parity.Wanted(names or ("onnxruntime",), device)).ready
