"""What a comparison of a part adds to what was known of a run."""

from collections.abc import Iterable
from typing import TypeVar

from msgspec.structs import replace

from mnist_bench.analysis.parity import certificates_of
from mnist_bench.core.types import Environment, FleetRecord, ParityRecord, ParityResult, QuantisedCertificate

P = TypeVar("P", bound=ParityRecord)


def added(before: P, found: P) -> P:
    """Return a comparison with what an earlier one found and this one did not ask again.

    What this one asked replaces what was known of it, and all that was known of another file of the same target. Where
    the earlier one was made on another machine, with other software, of other weights or images, or under another
    assumption, nothing of it is kept.
    """
    if _circumstances(before) != _circumstances(found):
        return found
    files = {one.configuration.target: one.sha256 for one in found.results}
    lost = {one.target for one in found.unreachable}
    kept = {
        _place(one): one
        for one in before.results
        if (name := one.configuration.target) not in lost and files.get(name, one.sha256) == one.sha256
    }
    results = kept | {_place(one): one for one in found.results}
    here, again = {one.sha256 for one in kept.values()}, {*files, *lost}
    older = [one for one in before.shares if one.sha256 in here]
    named = {*again, *(one.target for one in found.skipped)}
    return replace(
        _with_processors(before, found),
        results=tuple(results.values()),
        skipped=(*found.skipped, *(one for one in before.skipped if one.target not in named)),
        unreachable=(*found.unreachable, *(one for one in before.unreachable if one.target not in again)),
        saturation={name: one for name, one in before.saturation.items() if name not in again} | found.saturation,
        layers=(*(one for one in before.layers if one.target not in again), *found.layers),
        diagnoses=(*(one for one in before.diagnoses if one.target not in again), *found.diagnoses),
        shares=tuple({one.sha256: one for one in (*older, *found.shares)}.values()),
        quantised=_together([*found.quantised, *certificates_of(before, kept.values())]),
        blind=found.blind or before.blind,
    )


def _with_processors(before: P, found: P) -> P:
    """Return a comparison by processor with the processors of both; any other as it is."""
    if not (isinstance(before, FleetRecord) and isinstance(found, FleetRecord)):
        return found
    there = {one.name: one for one in (*before.processors, *found.processors)}
    return replace(found, processors=tuple(there.values()))


def _circumstances(record: ParityRecord) -> tuple[object, ...]:
    """Return what must be alike for two comparisons to be one."""
    return (
        _machine(record.environment),
        record.weights_sha256,
        record.dataset,
        record.labels,
        record.edges,
        record.reference_predictions,
        record.tolerance,
        record.assumed,
    )


def _machine(environment: Environment) -> Environment:
    return replace(environment, started_at="", load_average=None)


def _place(result: ParityResult) -> tuple[str, int, int]:
    own = result.configuration
    return own.target, own.batch_size, own.threads


def _together(certificates: Iterable[QuantisedCertificate]) -> tuple[QuantisedCertificate, ...]:
    """Return certificates, one for the same numbers, with all formats that have them."""
    every: dict[str, QuantisedCertificate] = {}
    for one in certificates:
        first = every.get(one.sha256, one)
        others = {*first.others, one.format, *one.others} - {first.format}
        every[one.sha256] = replace(first, others=tuple(sorted(others)))
    return tuple(every.values())
