"""What came out of a command, in one line: what an engineer wants to find in a log."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from mnist_bench.analysis import self_test, study
from mnist_bench.analysis.comparison import takes_part
from mnist_bench.analysis.gate import confirmed, judged
from mnist_bench.analysis.learning import first_epoch_at
from mnist_bench.analysis.load import Loaded
from mnist_bench.analysis.parity import by_target, failed, flipped, under_assumption
from mnist_bench.analysis.timing import Summary, summarise, timed_calls, timed_epochs
from mnist_bench.core.bench_types import BenchRecord, GateRecord, Row, SelfTestRecord
from mnist_bench.core.study_types import StudyRecord
from mnist_bench.core.types import Absent, FleetRecord, ParityRecord, Record
from mnist_bench.report._study import points
from mnist_bench.report._table import ViewOptions

NAMED = 3


def training_line(records: Sequence[Record], options: ViewOptions) -> str:
    """Say how accurate networks are on the test set, and when they converged."""
    return "; ".join(_trained(record, options) for record in records)


def _trained(record: Record, options: ViewOptions) -> str:
    if record.final is None:
        return f"{record.name}: {len(record.epochs)} of {record.config.epochs} epochs done"
    test = record.final.test
    words = f"{record.name}: {test.accuracy:.2%} test accuracy ({many(test.images - test.correct, 'error')})"
    if not record.epochs:
        return words
    at, level = first_epoch_at(record, options.convergence_at), f"{100 * options.convergence_at:g}%"
    return f"{words}, epoch {at} reached {level}" if at else f"{words}, {level} not reached"


def parity_line(record: ParityRecord, file: str = "") -> str:
    """Say how many targets give the reference's answers, with how many flips, and what is certified.

    Args:
        record: of a run's comparison.
        file: the name of the file that was compared with it, where that is none of the run's.
    """
    covered = record.certificate
    parts = [outcome(record), flips(record), f"{covered.certified:,} of {covered.images:,} images certified"]
    if isinstance(record, FleetRecord):
        parts.append(f"{many(sum(one.refusal is None for one in record.processors), 'emulated processor')} asked")
    if record.skipped:
        parts.append(f"{len(record.skipped)} skipped")
    of = f"{file} beside {record.name}" if file else record.name
    return f"{of}: {', '.join(filter(None, parts))}{under_assumption(record)}"


def outcome(record: ParityRecord) -> str:
    """Say which targets failed or could not be asked; or that all gave the reference's answers."""
    targets = by_target(record)
    wrong = [name for name, results in targets.items() if failed(results)]
    lost = [one.target for one in record.unreachable]
    words = [f"{_named(wrong)} failed ({len(wrong)} of {many(len(targets), 'target')})"] if wrong else []
    words += [f"{_named(lost)} could not be asked"] if lost else []
    if words:
        return "; ".join(words)
    if len(targets) == 1:
        return f"{next(iter(targets))} gives the reference's answers"
    return f"all {len(targets)} targets give the reference's answers" if targets else "no target was asked"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def flips(record: ParityRecord) -> str:
    """Say how many predictions changed, of float32 targets and of others; nothing where there is no target."""
    groups = list(by_target(record).values())
    exact = [flipped(record, results) for results in groups if results[0].configuration.precision == "fp32"]
    lower = [flipped(record, results) for results in groups if results[0].configuration.precision != "fp32"]
    if not any(exact + lower):
        return "0 flips" if groups else ""
    words = [f"{many(max(exact), 'flip')} in fp32"] if exact else []
    words += [f"at most {max(lower):,} in lower precisions"] if lower else []
    return ", ".join(words)


def bench_line(records: Sequence[BenchRecord]) -> str:
    """Say how much was measured, and what is the fastest; of a gate and a self-test, what they found."""
    return "; ".join(map(_measured, records))


def _measured(record: BenchRecord) -> str:
    match record:
        case GateRecord():
            slower, rows = len(confirmed(record)), len(judged(record))
            found = [f"{slower} of {many(rows, 'row')} slower than {record.plan.baseline}"]
        case SelfTestRecord():
            found = list(_resolved(record))
        case _:
            found = [many(len(record.rows), "row"), *_fastest(record)]
    found += [f"{len(record.failures)} failed"] if record.failures else []
    found += [f"{len(record.skipped)} skipped"] if record.skipped else []
    return f"{record.name}: {', '.join(found)}"


def _resolved(record: SelfTestRecord) -> Iterator[str]:
    told = self_test.resolutions(record)
    alarms, comparisons = sum(one.alarms for one in told), sum(one.comparisons for one in told)
    yield f"{many(alarms, 'false alarm')} in {many(comparisons, 'comparison')}"
    if seen := [one.detectable for one in told if one.detectable is not None]:
        yield f"slow-downs of {max(seen):.1%} are seen in every row"


def _fastest(record: BenchRecord) -> Iterator[str]:
    """Name the fastest runtime at the smallest and at the largest batch, and the fastest training engine."""
    calls = [row for row in timed_calls(record) if takes_part(record, row)]
    sizes = [row.configuration.batch_size for row in calls]
    for size in sorted({min(sizes), max(sizes)}) if sizes else ():
        best = _best(record, [row for row in calls if row.configuration.batch_size == size])
        median_us = summarise(record, best).p50 * 1e6
        yield f"fastest at batch {size:,}: {best.configuration.target}, {_threads(best)}, {median_us:,.1f} µs"
    if epochs := [row for row in timed_epochs(record) if takes_part(record, row)]:
        best = _best(record, epochs)
        yield f"fastest engine: {best.configuration.target}, {summarise(record, best).images_per_s:,.0f} images/s"


def _best(record: BenchRecord, rows: Sequence[Row]) -> Row:
    return min(rows, key=lambda row: summarise(record, row).p50)


def _threads(row: Row) -> str:
    return many(row.configuration.threads, "thread")


def load_line(scenario: str, found: Sequence[Loaded], failures: Sequence[str] = ()) -> str:
    """Say how many of LoadGen's results are valid."""
    valid = sum(one.valid for one in found)
    lost = f", {many(len(failures), 'session')} failed" if failures else ""
    return f"{scenario}: LoadGen accepts {valid} of {many(len(found), 'result')}{lost}"


def study_line(record: StudyRecord, options: ViewOptions) -> str:
    """Say how accurate each network is over its seeds, and by how much they differ."""
    parts = [f"{len(record.results)} of {len(record.keys)} trainings", *_arms(record, options)]
    difference = study.paired(record)
    if difference and (ends := difference.accuracy.interval):
        mean = f"{100 * difference.accuracy.mean:+.2f} points"
        interval = f"95%: {100 * ends.low:+.2f} to {100 * ends.high:+.2f}"
        parts.append(f"{difference.second} minus {difference.first} {mean} ({interval})")
    return f"{record.name}: {', '.join(parts)}"


def _arms(record: StudyRecord, options: ViewOptions) -> Iterator[str]:
    for arm in study.arms(record, options.convergence_at):
        spread = f" ± {points(arm.accuracy.deviation)}" if arm.accuracy.deviation is not None else ""
        yield f"{arm.activation} {arm.accuracy.mean:.2%}{spread}"


def together(absent: Iterable[Absent], says: Callable[[Absent], str]) -> dict[str, list[str]]:
    """Group targets by what is said of them, in the order in which they come: what holds of many is said once."""
    groups: dict[str, list[str]] = {}
    for one in absent:
        groups.setdefault(says(one), []).append(one.target)
    return groups


def median_us(found: Summary) -> str:
    """Write the median of a call in µs, with its 95% interval, where there is one yet."""
    ends = "no interval yet"
    if found.interval:
        ends = f"{found.interval.low * 1e6:,.1f} to {found.interval.high * 1e6:,.1f}"
    return f"{found.p50 * 1e6:,.1f} µs ({ends})"


def many(count: int, noun: str) -> str:
    """Write a number of things, of which there may be one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
