"""Does it answer the same everywhere?"""

from collections.abc import Iterator

from mnist_bench.analysis.parity import quantised_name
from mnist_bench.analysis.processors import (
    asked,
    by_file,
    certified,
    certified_in_float,
    counted,
    flips,
    lost,
    native_flips,
    on_processors,
    refused,
    same_bits,
)
from mnist_bench.core.types import FleetRecord, ParityResult
from mnist_bench.report._lines import together
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.answers import Answer

ORDER = 2
QUESTION = "Does it answer the same everywhere?"


def build(material: Material, _options: ViewOptions) -> Iterator[Answer]:
    """Per run that was compared by processor: what is proved, what was tried, and on what."""
    sentences = [" ".join(_sentences(record)) for record in material.fleets]
    if sentences:
        yield Answer(QUESTION, sentences, "processors")


def _sentences(record: FleetRecord) -> Iterator[str]:
    there = counted(record)
    if not there:
        yield f"{record.name}: not known, since no emulated processor passed its self-check."
    else:
        names = ", ".join(one.name for one in there)
        emulators = ", ".join(dict.fromkeys(one.emulator for one in there))
        yield f"{record.name}: {_verdict(record)} Tried on {len(there)} emulated processors ({names}; {emulators})."
    for (runtime, precision), results in by_file(record).items():
        if tried := [one for one in results if one.configuration.processor]:
            yield f"{runtime} in {precision}: {_tried(record, tried)}"
    yield _proved(record)
    left_out = {one.name: one.refusal for one in refused(record)}
    yield from (f"{name} was left out: {refusal}." for name, refusal in left_out.items())
    unknown = [one for one in record.unreachable if one.target not in left_out]
    for why, targets in together(unknown, lambda one: one.reason).items():
        yield f"Nothing is known of {', '.join(targets)}: {why}."
    yield "Emulated processors are never timed, so this says nothing about speed."


def _verdict(record: FleetRecord) -> str:
    """Say in a word whether predictions depend on the processor."""
    tried = list(on_processors(record))
    failed = [one.configuration.target for one in tried if one.failures]
    if failed:
        return f"NOT in {', '.join(failed)}."
    if unknown := [one.target for one in record.unreachable]:
        return f"not known of {', '.join(unknown)}."
    changed = {one.configuration.precision for one in tried if native_flips(record, one)}
    if changed:
        where = ", ".join(sorted(changed))
        return f"yes, within the tolerance of each precision; single predictions depend on the processor in {where}."
    return "yes, as far as it was tried: every processor makes the same predictions as this machine."


def _tried(record: FleetRecord, tried: list[ParityResult]) -> str:
    """Say what one file answered on the processors."""
    sizes = sorted({len(asked(record, one)) for one in tried})
    images = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    most = max(len(flips(record, one)) for one in tried)
    compared = [one for one in tried if one.native]
    proved = certified(record, tried[0].configuration)
    broken = max(len(lost(record, one, proved)) for one in tried)
    words = [f"{images} test images each, {_most(most)} different from the reference's"]
    if compared:
        alike = sum(bool(same_bits(one)) for one in compared)
        largest = max(one.native.largest_difference for one in compared if one.native)
        changed = max(len(native_flips(record, one)) for one in compared)
        words.append(f"{_most(changed)} different from this machine's")
        words.append(f"identical bits on {alike} of {len(compared)}, largest |Δlogit| {largest:.2g}")
    words.append(f"{_most(broken)} different on certified images" if proved else "no certificate covers it")
    return "; ".join(words) + "."


def _most(count: int) -> str:
    """Say how many predictions there are at most."""
    return f"at most {count} prediction{'' if count == 1 else 's'}" if count else "no prediction"


def _proved(record: FleetRecord) -> str:
    covered = {"IEEE float32": len(certified_in_float(record))}
    covered |= {quantised_name(one): one.certified for one in record.quantised}
    numbers = ", ".join(f"{count:,} in {name}" for name, count in covered.items())
    return (
        f"Proved for every processor, tried or not: the same predictions on {numbers} of {len(record.labels):,} test "
        f"images, in whatever order sums are taken and rounded."
    )
