"""Two sides measured in blocks: paired ratios, exact intervals, verdicts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mnist_bench.bench.session import machine_differences
from mnist_bench.bench.summary import process_medians, summarise
from mnist_bench.core import stats
from mnist_bench.core.bench_types import BenchRecord, Row
from mnist_bench.core.errors import BadInput, UnlikeMachines
from mnist_bench.core.types import Configuration

ALPHA = 0.025  # in each direction: 5% in both
CONFIDENCE = 0.95

Key = tuple[str, str, str, int, int]


@dataclass(frozen=True)
class Compared:
    """A row of one side against the same row of the other: below 1, the candidate is faster."""

    candidate: Row
    baseline: Row
    estimate: stats.Estimate
    verdict: stats.Verdict


def key(configuration: Configuration) -> Key:
    """Return what makes two rows the same: runtime, precision, device, threads and batch, whatever the version."""
    kind = configuration.device.partition(":")[0]
    return (configuration.runtime, configuration.precision, kind, configuration.threads, configuration.batch_size)


def compare_records(
    baseline: BenchRecord, candidate: BenchRecord, *, allow_unlike: bool = False, delta: float = stats.SMALLEST_DELTA
) -> list[Compared]:
    """Compare the rows that two records share.

    Args:
        baseline: what to compare with.
        candidate: what is faster or slower.
        allow_unlike: compare although the machines differ.
        delta: what counts as equivalent, relative.

    Raises:
        BadInput: a record holds no raw samples, or they share no configuration.
        UnlikeMachines: they were not measured on machines of one kind.
    """
    for record in (baseline, candidate):
        if not any(row.samples for row in record.rows):
            raise BadInput(f"the benchmark of {record.name!r} holds no raw samples, so nothing can be compared")
    unlike = machine_differences(baseline.environment, candidate.environment)
    if unlike and not allow_unlike:
        raise UnlikeMachines(
            f"these records are of unlike machines ({'; '.join(unlike)}): --allow-unlike compares them all the same"
        )
    rows = {key(row.configuration): row for row in baseline.rows if row.samples}
    pairs = [
        (row, rows[key(row.configuration)]) for row in candidate.rows if row.samples and key(row.configuration) in rows
    ]
    if not pairs:
        raise BadInput("the records share no configuration, so there is nothing to compare")
    return compare_rows(pairs, delta=delta)


def compare_rows(
    pairs: Sequence[tuple[Row, Row]],
    *,
    alpha: float = ALPHA,
    confidence: float = CONFIDENCE,
    delta: float = stats.SMALLEST_DELTA,
) -> list[Compared]:
    """Compare candidates with baselines, block by block; the verdicts allow for their number.

    Args:
        pairs: (candidate, baseline).
        alpha: the chance of any false alarm in each direction.
        confidence: of each interval.
        delta: what counts as equivalent, relative.
    """
    estimates = [_estimate(*pair, confidence) for pair in pairs]
    judged = zip(pairs, estimates, stats.verdicts(estimates, alpha, delta), strict=True)
    return [Compared(candidate, baseline, estimate, verdict) for (candidate, baseline), estimate, verdict in judged]


def _estimate(candidate: Row, baseline: Row, confidence: float) -> stats.Estimate:
    ours, theirs = process_medians(candidate), process_medians(baseline)
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        raise BadInput(f"{candidate.configuration.target} was measured in no block on both sides")
    return stats.paired_ratio([ours[block] for block in shared], [theirs[block] for block in shared], confidence)


def fastest(record: BenchRecord) -> Iterator[Row]:
    """Yield the rows that are FASTER than every other of their batch size and number of threads.

    Rows that the clock does not resolve do not take part, nor does a group of one.
    """
    groups: dict[tuple[int, int], list[Row]] = {}
    for row in record.rows:
        if row.samples and row.configuration.format != "null" and not summarise(record, row).unresolved:
            groups.setdefault((row.configuration.batch_size, row.configuration.threads), []).append(row)
    for rows in groups.values():
        best = min(rows, key=lambda row: sorted(process_medians(row).values())[len(row.samples) // 2])
        others = [(best, row) for row in rows if row is not best]
        if others and all(compared.verdict == "FASTER" for compared in compare_rows(others)):
            yield best
