"""What a comparison of runtimes says: functions over the saved results."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mnist_bench.core.errors import ParityBroken, Unanswered
from mnist_bench.core.types import Configuration, FleetRecord, ParityRecord, ParityResult, QuantisedCertificate

REFERENCE = "reference"


def by_target(record: ParityRecord) -> dict[str, list[ParityResult]]:
    """Group the results by runtime, precision and device, in the order in which they were measured."""
    groups: dict[str, list[ParityResult]] = {}
    for result in record.results:
        groups.setdefault(result.configuration.target, []).append(result)
    return groups


def failed(results: Sequence[ParityResult]) -> bool:
    """Tell whether a target failed in any of its configurations."""
    return any(result.failures for result in results)


def passed_of_tried(record: ParityRecord) -> str:
    """Return how many targets passed, of all that were to be asked: `19 of 20`."""
    targets = by_target(record)
    passed = sum(not failed(results) for results in targets.values())
    return f"{passed:,} of {len(targets.keys() | {one.target for one in record.unreachable}):,}"


def largest(results: Sequence[ParityResult], field: str) -> float | None:
    """Return the largest of a number over a target's configurations; None where none has it."""
    return max((value for result in results if (value := getattr(result, field)) is not None), default=None)


def flipped(record: ParityRecord, results: Sequence[ParityResult]) -> int:
    """Return on how many test images a target's worst configuration does not predict what the reference predicts."""
    tests = len(record.labels)
    return max(sum(deviation.image < tests for deviation in result.deviations) for result in results)


def flipped_edges(record: ParityRecord, results: Sequence[ParityResult]) -> list[str]:
    """Name the edge images on which any configuration of a target does not predict what the reference predicts."""
    images = {deviation.image for result in results for deviation in result.deviations}
    return [record.edges[image - len(record.labels)] for image in sorted(images) if image >= len(record.labels)]


def open_to_processors(record: ParityRecord, results: Sequence[ParityResult]) -> frozenset[int] | None:
    """Return the test images on which processors may differ about a quantised file; None where nothing is proved."""
    found = certificate_of(record, results[0].configuration)
    return frozenset(one.image for one in found.uncertified) if found else None


def certificate_of(record: ParityRecord, configuration: Configuration) -> QuantisedCertificate | None:
    """Return what is proved of the quantised file that a configuration opens; None where nothing is."""
    for found in record.quantised:
        if found.precision == configuration.precision and configuration.format in (found.format, *found.others):
            return found
    return None


def certificates_of(record: ParityRecord, results: Iterable[ParityResult]) -> list[QuantisedCertificate]:
    """Return what is proved of the quantised files that some results are of, in the record's order."""
    theirs = [certificate_of(record, one.configuration) for one in results]
    return [one for one in record.quantised if any(found is one for found in theirs)]


def quantised_name(found: QuantisedCertificate) -> str:
    """Name the files that a certificate is of: `onnx int8`, or `onnx, c, ort-fixed int8` where they share numbers."""
    return f"{', '.join((found.format, *found.others))} {found.precision}"


def changed_by_quantisation(record: ParityRecord, found: QuantisedCertificate) -> list[int]:
    """Return the test images that are proved to be predicted otherwise than in float32, on every processor."""
    unsure = {one.image for one in record.certificate.uncertified}
    return [one.image for one in found.deviations if one.image not in unsure]


def under_assumption(record: ParityRecord) -> str:
    """Say what was assumed of the models, behind a sentence; nothing where nothing was."""
    return f", under the assumption: {', '.join(record.assumed)}" if record.assumed else ""


def silent(record: ParityRecord) -> list[str]:
    """Return the targets that gave no logits that could be compared, in at least one configuration."""
    return [name for name, found in by_target(record).items() if any(r.largest_difference is None for r in found)]


def predictions(record: ParityRecord) -> dict[str, list[int]]:
    """Return every target's prediction for every image, the reference's first.

    Where a target's configurations differ among themselves, what differs from the reference counts: predictions can
    depend on the batch. Targets that never answered are left out.
    """
    reference = list(record.reference_predictions)
    found = {REFERENCE: reference}
    for name, results in by_target(record).items():
        answered = [result for result in results if result.largest_difference is not None]
        changed = {deviation.image: deviation.prediction for result in answered for deviation in result.deviations}
        if answered:
            found[name] = [changed.get(image, prediction) for image, prediction in enumerate(reference)]
    return found


def alike(found: Mapping[str, Sequence[int]]) -> dict[tuple[int, ...], list[str]]:
    """Group names by their predictions, in the order in which they come."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, predicted in found.items():
        groups.setdefault(tuple(predicted), []).append(name)
    return groups


def disagreements(predicted: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return on how many images any two of some predictions differ."""
    every = np.asarray(predicted)
    return [np.count_nonzero(every != one, axis=1).tolist() for one in every]


def image_name(record: ParityRecord, image: int) -> str:
    """Name an image: its index in the test set, or what kind of edge image it is."""
    tests = len(record.labels)
    return str(image) if image < tests else record.edges[image - tests]


def label_name(record: ParityRecord, image: int) -> str | None:
    """Name an image's label; None for an edge image."""
    return record.classes[record.labels[image]] if image < len(record.labels) else None


def judge(record: ParityRecord) -> None:
    """Raise ParityBroken where any configuration failed, and Unanswered where a target, or none, could be asked."""
    wrong = [result for result in record.results if result.failures]
    if wrong:
        first = wrong[0]
        where = f"{first.configuration.threads} thread(s), batch {first.configuration.batch_size}"
        raise ParityBroken(
            f"{len(wrong)} of {len(record.results)} configurations do not give the reference's answers; the first: "
            f"{first.configuration.target} with {where}: {'; '.join(first.failures)}"
        )
    if record.unreachable:
        lost = record.unreachable[0]
        raise Unanswered(
            f"{len(record.unreachable)} target(s) could not be asked, so nothing is known of them; the first: "
            f"{lost.target}: {lost.reason}"
        )
    if not record.results:
        raise Unanswered(f"no target of {record.name!r} answered, so nothing is known: see what was skipped, and why")
    if isinstance(record, FleetRecord) and all(one.refusal for one in record.processors):
        refused = record.processors[0]
        raise Unanswered(f"no emulated processor counts; the first: {refused.name}: {refused.refusal}")
