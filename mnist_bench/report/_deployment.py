"""May a run be deployed, as far as was seen: the first thing that a reader asks."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mnist_bench.analysis.comparison import takes_part
from mnist_bench.analysis.parity import by_target, failed, flipped, under_assumption
from mnist_bench.analysis.processors import counted, failed_on, file_of
from mnist_bench.analysis.timing import Summary, summarise, timed_calls
from mnist_bench.core.bench_types import InferenceBenchRecord, Row
from mnist_bench.core.types import Absent, FleetRecord, ParityRecord, ParityResult, Record
from mnist_bench.report._lines import many, outcome, together
from mnist_bench.report._material import Material

NAMED = 5
"""How many of what failed are named in a sentence."""


State = Literal["passed", "failed", "unknown"]
WORD_OF: Mapping[State, str] = {"passed": "PASSED", "failed": "FAILED", "unknown": "NOT KNOWN"}
"""For whoever cannot tell green from red."""


@dataclass(frozen=True)
class Deployment:
    """Whether a run may be deployed: that in a sentence, and what speaks against it or was left out, a line each."""

    state: State
    sentence: str
    causes: Sequence[str] = ()


def deployment(material: Material, record: Record) -> Deployment:
    """Judge a run by what was compared of its present weights: it fails where any target or processor did.

    Of a target whose file is not the one that was compared nothing is known, unless it failed.
    """
    compared, fleet = material.comparison_of(record), material.fleet_of(record)
    wrong, lost = _wrong(compared) if compared else {}, _lost(compared, fleet)
    elsewhere = {name: found for name, found in _wrong(fleet).items() if name not in wrong} if fleet else {}
    others = len(by_target(compared).keys() - {*wrong, *elsewhere, *lost}) if compared else 0
    how = f"Run {material.command('verify', record)}"
    if wrong or elsewhere:
        causes = [*(_causes(compared, wrong) if compared else ()), *_failures(elsewhere), *_reasons(lost)]
        return Deployment("failed", f"{_named([*wrong, *elsewhere])} failed{_rest(others)}", causes)
    if compared is None:
        return Deployment("unknown", "not verified, so nothing is known of its runtimes", [how])
    if record.final is None:
        return Deployment("unknown", "its training is not finished", ["Finish it, and verify it again"])
    if lost:
        return Deployment("unknown", f"nothing is known of {_named(list(lost))}{_rest(others)}", _reasons(lost))
    if not compared.results:
        return Deployment("unknown", "no target was asked, so nothing is known of its runtimes", [how])
    left = _unasked(material, record, [compared, *([fleet] if fleet else [])])
    return Deployment("passed", f"{_alike(compared)}{under_assumption(compared)}", left)


def passed_everywhere(material: Material, record: Record) -> frozenset[str] | None:
    """Return the targets that passed here and failed on no processor; None where nothing was compared."""
    compared, fleet = material.comparison_of(record), material.fleet_of(record)
    if compared is None:
        return None
    wrong = failed_on(fleet) if fleet else {}
    return frozenset(
        name
        for name, results in by_target(compared).items()
        if not failed(results) and file_of(results[0]) not in wrong
    )


def _wrong(compared: ParityRecord) -> dict[str, list[ParityResult]]:
    return {name: results for name, results in by_target(compared).items() if failed(results)}


def _lost(compared: ParityRecord | None, fleet: FleetRecord | None) -> dict[str, Absent]:
    """Return of what nothing is known although it was to be asked, and why: processors, where none of them counts."""
    lost = {one.target: one for found in (fleet, compared) if found for one in found.unreachable}
    if fleet and not counted(fleet):
        lost |= {one.name: Absent(target=one.name, reason=one.refusal or "", remedy="") for one in fleet.processors}
    return lost


def _reasons(lost: Mapping[str, Absent]) -> list[str]:
    """Say why nothing is known of some targets, and what to do: a line for all that share it."""
    whys = together(lost.values(), lambda one: "; ".join(filter(None, (one.reason, one.remedy))))
    return [f"{_named(names)}: {why}" for why, names in whys.items()]


def _unasked(material: Material, record: Record, compared: Sequence[ParityRecord]) -> list[str]:
    """Say which exported files no target was asked about, in a line; of older records that is not known."""
    asked, manifest = {result.sha256 for one in compared for result in one.results}, material.manifest_of(record)
    left = [entry for entry in (manifest.artifacts if manifest else ()) if entry.sha256 not in asked]
    if left and asked <= {None}:
        how = material.command("verify", record)
        return [f"Which files were compared was not recorded at that time. Run {how} to be sure"]
    present = record.checkpoint and record.checkpoint.weights.sha256
    older = [entry.name for entry in left if entry.weights_sha256 != present]
    other = [entry.name for entry in left if entry.weights_sha256 == present]
    lines = [f"{_named(older)}: exported before the run was trained further; export again"] if older else []
    said = f"exported, but no target was asked about {'it' if len(other) == 1 else 'them'}"
    return [*lines, *([f"{_named(other)}: {said}"] if other else [])]


def fastest_passed(
    measured: InferenceBenchRecord, passed: Collection[str] | None, batch_size: int
) -> tuple[Row, Summary] | None:
    """Return the timed row with the lowest median at a batch size: of the targets that passed; of all, unverified."""
    rows = [row for row in _timed_and_passed(measured, passed) if row.configuration.batch_size == batch_size]
    return min(((row, summarise(measured, row)) for row in rows), key=lambda found: found[1].p50, default=None)


def timed_targets(measured: InferenceBenchRecord, passed: Collection[str] | None) -> int:
    """Return how many targets the fastest is the fastest of."""
    return len({row.configuration.target for row in _timed_and_passed(measured, passed)})


def _timed_and_passed(measured: InferenceBenchRecord, passed: Collection[str] | None) -> list[Row]:
    return [
        row
        for row in timed_calls(measured)
        if (passed is None or row.configuration.target in passed) and takes_part(measured, row)
    ]


def _alike(compared: ParityRecord) -> str:
    """Say what all targets do alike."""
    images = len(compared.labels)
    flips = max(flipped(compared, results) for results in by_target(compared).values())
    if not flips:
        return f"{outcome(compared)} on {images:,} test images"
    return f"{outcome(compared)}, except on at most {flips:,} of {images:,} images in lower precision"


def _causes(compared: ParityRecord, wrong: Mapping[str, Sequence[ParityResult]]) -> Iterator[str]:
    """Say of each target that failed how, and why where that is known."""
    known = {one.target: one.cause for one in compared.diagnoses}
    for line, name in zip(_failures(wrong), wrong, strict=True):
        cause = known.get(name)
        yield f"{line}. {cause.says}; {cause.remedy}" if cause else line


def _failures(wrong: Mapping[str, Sequence[ParityResult]]) -> Iterator[str]:
    for name, results in wrong.items():
        first = next(failure for result in results for failure in result.failures)
        more = sum(len(result.failures) for result in results) - 1
        others = f" (and {many(more, 'more failure')})" if more else ""
        yield f"{name}: {first}{others}"


def _rest(count: int) -> str:
    """Say behind a sentence that all others passed; nothing where there is no other."""
    if not count:
        return ""
    return f"; the other {count:,} passed" if count != 1 else "; the other one passed"


def _named(names: Sequence[str]) -> str:
    """Name some targets, and say how many more there are."""
    more = len(names) - NAMED
    return ", ".join([*names[:NAMED], *([f"{more:,} more"] if more > 0 else [])])
