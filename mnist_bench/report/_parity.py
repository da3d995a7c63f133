"""What a comparison of runtimes says: functions over the saved results."""

from mnist_bench.core.types import ParityRecord, ParityResult

REFERENCE = "reference"


def by_target(record: ParityRecord) -> dict[str, list[ParityResult]]:
    """Group the results by runtime, precision and device, in the order in which they were measured."""
    groups: dict[str, list[ParityResult]] = {}
    for result in record.results:
        groups.setdefault(result.configuration.target, []).append(result)
    return groups


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


def image_name(record: ParityRecord, image: int) -> str:
    """Name an image: its index in the test set, or what kind of edge image it is."""
    tests = len(record.labels)
    return str(image) if image < tests else record.edges[image - tests]


def label_name(record: ParityRecord, image: int) -> str | None:
    """Name an image's label; None for an edge image."""
    return record.classes[record.labels[image]] if image < len(record.labels) else None
