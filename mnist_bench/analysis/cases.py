"""What a verification or a gate found, as test cases: what CI systems count, show and fail on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mnist_bench.analysis.comparison import Compared, key
from mnist_bench.analysis.gate import again, confirmed, judged, unpaired
from mnist_bench.core.bench_types import GateRecord
from mnist_bench.core.types import RUNGS, Absent, Configuration, FleetRecord, ParityRecord, ParityResult

Outcome = Literal["passed", "failed", "error", "skipped"]
"""`failed` is a wrong answer or a slow-down; `error`, that nothing could be found out."""


@dataclass(frozen=True)
class Case:
    """One thing that was checked, and what came of it.

    `configuration` is empty where the case is of the whole target. `words` say what was found, or why it was not.
    """

    target: str
    outcome: Outcome
    words: str
    configuration: str = ""

    @property
    def name(self) -> str:
        """What to call it: `onnxruntime int8: batch 128, 1 thread`."""
        return f"{self.target}: {self.configuration}" if self.configuration else self.target


def of_parity(record: ParityRecord) -> list[Case]:
    """Return a case for every configuration that was verified, and for every target that was not."""
    cases = [_of_result(record, result) for result in record.results]
    cases += [_of_absent(one, "error") for one in record.unreachable]
    cases += [_of_absent(one, "skipped") for one in record.skipped]
    cases += _refused(record) if isinstance(record, FleetRecord) else ()
    # What skips all shows as green in a CI system.
    known = record.results or any(case.outcome == "error" for case in cases)
    return cases if known else [Case(record.name, "error", "no target answered, so nothing is known"), *cases]


def _of_result(record: ParityRecord, result: ParityResult) -> Case:
    own = result.configuration
    if result.failures:
        return Case(own.target, "failed", "; ".join(result.failures), _spelled(own))
    flips = sum(one.image < len(record.labels) for one in result.deviations)
    return Case(own.target, "passed", f"{RUNGS[result.rung]}; {flips:,} test images flipped", _spelled(own))


def _of_absent(absent: Absent, outcome: Outcome) -> Case:
    return Case(absent.target, outcome, "; ".join(filter(None, (absent.reason, absent.remedy))))


def _refused(record: FleetRecord) -> Iterator[Case]:
    """Yield the emulated processors that do not count; where none counts, nothing is known."""
    outcome: Outcome = "error" if all(one.refusal for one in record.processors) else "skipped"
    for one in record.processors:
        if one.refusal:
            yield Case(one.name, outcome, one.refusal)


def _spelled(own: Configuration) -> str:
    return f"batch {own.batch_size:,}, {own.threads} thread{'s' if own.threads > 1 else ''}"


def of_gate(record: GateRecord) -> list[Case]:
    """Return a case for every row that was compared, and for everything that could not be.

    Raises:
        MeasurementFailed: the sides have no configuration in common that could be measured.
    """
    second = {key(one.candidate.configuration): one for one in again(record)}
    slower = {key(one.candidate.configuration) for one in confirmed(record)}
    cases = [_of_row(one, second.get(own := key(one.candidate.configuration)), own in slower) for one in judged(record)]
    failures = [*record.failures, *(record.confirmation.failures if record.confirmation else ())]
    cases += [Case(f"{one.side} {one.target}".strip(), "error", one.reason) for one in failures]
    cases += [Case(name, "error", "it could not be compared: the other side lacks it") for name in unpaired(record)]
    return [*cases, *(_of_absent(one, "skipped") for one in record.skipped)]


def _of_row(first: Compared, second: Compared | None, failed: bool) -> Case:
    own = first.candidate.configuration
    words = _judgement(first) + (f"; measured again: {_judgement(second)}" if second else "")
    return Case(own.target, "failed" if failed else "passed", words, _spelled(own))


def _judgement(found: Compared) -> str:
    """Write a verdict with the ratio of the times, candidate over baseline, and its interval."""
    ratio, interval = found.estimate.ratio, found.estimate.interval
    ends = f" ({interval.low:.3f} to {interval.high:.3f})" if interval else ""
    return f"{found.verdict}, candidate over baseline {ratio:.3f}{ends}"


def worst(cases: Sequence[Case]) -> Outcome:
    """Return what a number of cases comes to; nothing but skipped ones is skipped."""
    order: tuple[Outcome, ...] = ("failed", "error", "passed", "skipped")
    return min((case.outcome for case in cases), key=order.index, default="skipped")
