"""Two sides measured in blocks: paired ratios, exact intervals, verdicts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mnist_bench.analysis.machines import machine_differences
from mnist_bench.analysis.timing import groups, process_medians, summarise
from mnist_bench.core import stats
from mnist_bench.core.bench_types import BenchRecord, HalfWidth, Row
from mnist_bench.core.errors import BadInput, DifferentMachines
from mnist_bench.core.types import Configuration

ALPHA = 0.025  # in each direction: 5% in both
CONFIDENCE = 0.95
GATE_ALPHA = 0.01
"""The chance that a gate, all its rows together, calls SLOWER what is not, before the confirmation."""
GATE_CONFIDENCE = 1 - 2 * GATE_ALPHA

Key = tuple[str, str, str, int, int, str]


@dataclass(frozen=True)
class Compared:
    """A row of one side against the same row of the other: below 1, the candidate is faster.

    `delta` is what counts as equivalent, relative.
    """

    candidate: Row
    baseline: Row
    estimate: stats.Estimate
    delta: float
    verdict: stats.Verdict


def key(configuration: Configuration) -> Key:
    """Return what makes two rows the same: runtime, precision, device, threads, batch, host; whatever the version."""
    kind = configuration.device.partition(":")[0]
    own = configuration
    return (own.runtime, own.precision, kind, own.threads, own.batch_size, own.host)


def compare_records(
    baseline: BenchRecord, candidate: BenchRecord, *, allow_unlike: bool = False, half_widths: Sequence[HalfWidth] = ()
) -> list[Compared]:
    """Compare the rows that two records share.

    Args:
        baseline: what to compare with.
        candidate: what is faster or slower.
        allow_unlike: compare although the machines differ.
        half_widths: those of a self-test on this machine.

    Raises:
        BadInput: a record holds no raw samples, or they share no configuration.
        DifferentMachines: they were not measured on machines of one kind.
    """
    for record in (baseline, candidate):
        if any(row.side for row in record.rows):
            raise BadInput(f"a record of {record.name!r} is from a gate or a self-test: give two bench.json")
        if not any(row.samples for row in record.rows):
            raise BadInput(f"the benchmark of {record.name!r} holds no raw samples, so nothing can be compared")
    unlike = machine_differences(baseline.environment, candidate.environment)
    if unlike and not allow_unlike:
        raise DifferentMachines(
            f"these records are from different machines ({'; '.join(unlike)}): --allow-unlike compares them anyway"
        )
    rows = {key(row.configuration): row for row in baseline.rows if row.samples}
    pairs = [
        (row, rows[key(row.configuration)]) for row in candidate.rows if row.samples and key(row.configuration) in rows
    ]
    if not pairs:
        raise BadInput("the records share no configuration, so there is nothing to compare")
    for one, other in pairs:
        if (ours := one.samples[0].images) != (theirs := other.samples[0].images):
            raise BadInput(f"the records time other work: {theirs:,} and {ours:,} images ({key(one.configuration)[0]})")
    return compare_rows(pairs, half_widths=half_widths)


def compare_rows(
    pairs: Sequence[tuple[Row, Row]],
    *,
    alpha: float = ALPHA,
    confidence: float = CONFIDENCE,
    half_widths: Sequence[HalfWidth] = (),
) -> list[Compared]:
    """Compare candidates with baselines, block by block; the verdicts allow for their number.

    Args:
        pairs: (candidate, baseline).
        alpha: the chance of any false alarm in each direction.
        confidence: of each interval.
        half_widths: of a thing compared with itself on this machine: equivalent is what is within them, or within 2%.
    """
    estimates = [_estimate(*pair, confidence) for pair in pairs]
    deltas = [_delta(candidate.configuration, half_widths) for candidate, _ in pairs]
    judged = zip(pairs, estimates, deltas, stats.verdicts(estimates, alpha, deltas), strict=True)
    return [Compared(*pair, estimate, delta, verdict) for pair, estimate, delta, verdict in judged]


def _delta(own: Configuration, half_widths: Sequence[HalfWidth]) -> float:
    """Return what counts as equivalent for a configuration: 2%, or its own half-width where that is more."""
    place = (own.target, own.threads, own.batch_size)
    fitting = (one for one in half_widths if (one.target, one.threads, one.batch_size) == place)
    return max([stats.SMALLEST_DELTA, *(one.relative for one in fitting)])


def _estimate(candidate: Row, baseline: Row, confidence: float) -> stats.Estimate:
    ours, theirs = process_medians(candidate), process_medians(baseline)
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        raise BadInput(f"{candidate.configuration.target} was not measured on both sides in any block")
    return stats.paired_ratio([ours[block] for block in shared], [theirs[block] for block in shared], confidence)


def takes_part(record: BenchRecord, row: Row) -> bool:
    """Tell whether a row can be the fastest, or be beaten: it has all blocks and the clock resolves it."""
    whole = len(row.samples) == len(record.blocks) > 0
    return whole and row.kind != "null" and not summarise(record, row).unresolved


def can_tell(record: BenchRecord, rows: Sequence[Row]) -> bool:
    """Tell whether there are blocks enough for one of these rows to be the fastest: the smallest p-value is 0.5^n."""
    rivals = sum(takes_part(record, row) for row in rows) - 1
    return max(rivals, 0) * 0.5 ** len(record.blocks) <= ALPHA


def fastest(record: BenchRecord) -> Iterator[Row]:
    """Yield the rows that are FASTER than every other of their batch size and number of threads.

    Rows that lack a block, or that the clock does not resolve, do not take part, nor does a group of one.
    """
    for rows in groups(row for row in record.rows if takes_part(record, row)).values():
        best = min(rows, key=lambda row: sorted(process_medians(row).values())[len(row.samples) // 2])
        others = [(best, row) for row in rows if row is not best]
        if others and all(compared.verdict == "FASTER" for compared in compare_rows(others)):
            yield best
