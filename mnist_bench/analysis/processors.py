"""What a comparison by processor says: functions over the saved results."""

from collections.abc import Iterator, Mapping, Sequence

from mnist_bench.analysis.parity import certificate_of
from mnist_bench.core.types import (
    Configuration,
    Emulated,
    Environment,
    FleetRecord,
    ParityRecord,
    ParityResult,
    Uncertified,
)

DECISIVE = ("sse4_1", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "asimdhp", "asimddp", "i8mm")
"""The instruction sets by which libraries choose kernels for products, in Linux's words."""


def certified(record: ParityRecord, configuration: Configuration) -> dict[int, int]:
    """Return the test images whose prediction is proved to be the same on every processor, and that prediction.

    Of lower precisions, quantised files have a certificate of their own.
    """
    if configuration.precision == "fp32":
        return certified_in_float(record)
    found = certificate_of(record, configuration)
    if found is None:
        return {}
    changed = {one.image: one.prediction for one in found.deviations}
    return _without(_predicted(record) | changed, found.uncertified)


def certified_in_float(record: ParityRecord) -> dict[int, int]:
    """Return the test images that every IEEE float32 runtime is proved to predict alike, and their prediction."""
    return _without(_predicted(record), record.certificate.uncertified)


def _predicted(record: ParityRecord) -> dict[int, int]:
    """Return the reference's predictions of the test images."""
    return dict(enumerate(record.reference_predictions[: len(record.labels)]))


def _without(predicted: dict[int, int], uncertified: Sequence[Uncertified]) -> dict[int, int]:
    unsure = {one.image for one in uncertified}
    return {image: prediction for image, prediction in predicted.items() if image not in unsure}


def lost(record: ParityRecord, result: ParityResult, proved: Mapping[int, int]) -> list[int]:
    """Return the `certified` test images on which a result does not predict what is proved."""
    said = predictions(record, result)
    return [image for image, prediction in proved.items() if said.get(image, prediction) != prediction]


def asked(record: ParityRecord, result: ParityResult) -> Sequence[int]:
    """Return the test images that were asked: all, or those of the sample."""
    return result.sample.images if result.sample else range(len(record.labels))


def flips(record: ParityRecord, result: ParityResult) -> list[int]:
    """Return the test images on which a result does not predict what the reference predicts."""
    return [one.image for one in result.deviations if one.image < len(record.labels)]


def native_flips(record: ParityRecord, result: ParityResult) -> list[int]:
    """Return the test images on which a result does not predict what this machine's own processor predicts."""
    return [image for image in result.native.flips if image < len(record.labels)] if result.native else []


def predictions(record: ParityRecord, result: ParityResult) -> dict[int, int]:
    """Return a result's prediction of every test image that was asked."""
    changed = {one.image: one.prediction for one in result.deviations}
    return {image: changed.get(image, record.reference_predictions[image]) for image in asked(record, result)}


def same_bits(result: ParityResult) -> bool | None:
    """Tell whether all logits have the bits of this machine's own processor; None where that was not asked."""
    return result.native.same_bits == result.native.images if result.native else None


def by_file(record: FleetRecord) -> dict[tuple[str, str], list[ParityResult]]:
    """Group the results that can be compared by runtime and precision, this machine's own first."""
    groups: dict[tuple[str, str], list[ParityResult]] = {}
    for result in sorted(record.results, key=lambda one: bool(one.configuration.processor)):
        if result.largest_difference is not None:
            groups.setdefault(file_of(result), []).append(result)
    return groups


def file_of(result: ParityResult) -> tuple[str, str]:
    """Return what a result has in common with those of other processors: its runtime and its precision."""
    return result.configuration.runtime, result.configuration.precision


def failed_on(record: FleetRecord) -> dict[tuple[str, str], list[str]]:
    """Return the runtimes and precisions that failed on emulated processors, and on which."""
    found: dict[tuple[str, str], list[str]] = {}
    for result in on_processors(record):
        if result.failures:
            names = found.setdefault(file_of(result), [])
            names += {result.configuration.processor} - {*names}
    return found


def on_processors(record: FleetRecord) -> Iterator[ParityResult]:
    """Yield the results of emulated processors."""
    return (result for result in record.results if result.configuration.processor)


def shows(environment: Environment, processor: Emulated) -> bool:
    """Tell whether an emulated processor has this machine's own instruction sets, as far as kernels depend on them."""
    own = set(environment.instructions) & set(DECISIVE)
    return bool(own) and own == set(processor.instructions) & set(DECISIVE)


def refused(record: FleetRecord) -> list[Emulated]:
    """Return the processors that did not give the answers that were known."""
    return [one for one in record.processors if one.refusal]


def counted(record: FleetRecord) -> list[Emulated]:
    """Return the processors whose answers count."""
    return [one for one in record.processors if not one.refusal]
