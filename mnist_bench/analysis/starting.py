"""What it costs to begin: functions over the saved samples."""

from collections.abc import Sequence
from statistics import median

from mnist_bench.analysis.timing import timed_calls
from mnist_bench.core.bench_types import BenchRecord, Row, Sample

Cold = list[tuple[Row, list[Sample]]]


def cold_starts(record: BenchRecord) -> Cold:
    """Return of each target and number of threads its first row, and what its processes measured first."""
    firsts: dict[tuple[str, int], tuple[Row, list[Sample]]] = {}
    for row in timed_calls(record):
        if cold := [sample for sample in row.samples if sample.import_s is not None]:
            own = row.configuration
            firsts.setdefault((own.target, own.threads), (row, []))[1].extend(cold)
    return list(firsts.values())


def parts(samples: Sequence[Sample]) -> tuple[float, float, float]:
    """Return the median seconds of importing, loading and the first call."""
    imports, loads, calls = zip(*map(_parts, samples), strict=True)
    return median(imports), median(loads), median(calls)


def together(samples: Sequence[Sample]) -> float:
    """Return the median of the seconds from a fresh Python to the first answer."""
    return median(sum(_parts(sample)) for sample in samples)


def peak_memory(samples: Sequence[Sample]) -> int | None:
    """Return the most bytes that any process had resident until its smallest batches were done; None if untold."""
    return max((sample.peak_resident_bytes for sample in samples if sample.peak_resident_bytes), default=None)


def _parts(sample: Sample) -> tuple[float, float, float]:
    return sample.import_s or 0.0, sample.load_s or 0.0, sample.first_call_s
