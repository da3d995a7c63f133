"""What a gate says: has the candidate become slower? Only what a second measurement confirms counts."""

from collections.abc import Sequence

from mnist_bench.analysis.comparison import GATE_ALPHA, GATE_CONFIDENCE, Compared, compare_rows, key
from mnist_bench.analysis.timing import row_name
from mnist_bench.core.bench_types import BenchRecord, GateRecord, Row
from mnist_bench.core.errors import MeasurementFailed

CANDIDATE, BASELINE = "candidate", "baseline"


def pairs(record: BenchRecord) -> list[tuple[Row, Row]]:
    """Return which row of the candidate is compared with which of the baseline.

    The same runtime and precision where the baseline has it; else, where the baseline is another runtime, that one's
    row of the same precision, or of float32.
    """
    theirs = {key(row.configuration): row for row in record.rows if row.side == BASELINE and row.samples}
    found = []
    for row in record.rows:
        if row.side == CANDIDATE and row.samples and row.kind != "null":
            own = key(row.configuration)
            candidates = [own, (str(record.plan.baseline), *own[1:]), (str(record.plan.baseline), "fp32", *own[2:])]
            match = next((theirs[place] for place in candidates if place in theirs), None)
            if match is not None:
                found.append((row, match))
    return found


def unpaired(record: GateRecord) -> list[str]:
    """Return what one side has and the other lacks, and what a confirmation should have measured and has not."""
    paired = {id(row) for pair in pairs(record) for row in pair}
    rows = [row for row in record.rows if row.samples and row.kind != "null"]
    # A baseline that is another runtime need not have all its precisions compared.
    alone = [
        row_name(row) for row in rows if id(row) not in paired and row.configuration.runtime != record.plan.baseline
    ]
    slower = {key(found.candidate.configuration) for found in slower_of(judged(record))}
    again = {key(one.configuration) for one, _ in pairs(record.confirmation)} if record.confirmation else slower
    return list(dict.fromkeys(alone)) + [f"{runtime}, a second time" for runtime, *_ in sorted(slower - again)]


def judged(record: GateRecord) -> list[Compared]:
    """Judge a measurement of two sides; SLOWER with a nominal chance of 1% of any false alarm.

    Raises:
        MeasurementFailed: the sides have no configuration in common that could be measured.
    """
    found = pairs(record)
    if not found:
        why = "".join(f"; {one.side} {one.target}: {one.reason}" for one in record.failures[:1])
        raise MeasurementFailed(f"the sides share no configuration that could be measured{why}")
    return compare_rows(found, alpha=GATE_ALPHA, confidence=GATE_CONFIDENCE, half_widths=record.half_widths)


def again(record: GateRecord) -> list[Compared]:
    """Judge the second measurement of what the first calls SLOWER."""
    if record.confirmation is None:
        return []
    first = {key(found.candidate.configuration) for found in slower_of(judged(record))}
    found = [pair for pair in pairs(record.confirmation) if key(pair[0].configuration) in first]
    return compare_rows(found, alpha=GATE_ALPHA, confidence=GATE_CONFIDENCE, half_widths=record.half_widths)


def confirmed(record: GateRecord) -> list[Compared]:
    """Return what both measurements call SLOWER, as the second found it."""
    return slower_of(again(record))


def slower_of(found: Sequence[Compared]) -> list[Compared]:
    """Return what a measurement calls SLOWER."""
    return [one for one in found if one.verdict == "SLOWER"]
