"""Does the exported model still give the same answers?"""

from collections.abc import Iterator

from mnist_bench.analysis.parity import (
    by_target,
    changed_by_quantisation,
    failed,
    flipped,
    flipped_edges,
    quantised_name,
    under_assumption,
)
from mnist_bench.core.types import ParityRecord, ParityResult, QuantisedCertificate
from mnist_bench.report._lines import many, together
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.answers import Answer
from mnist_bench.report.views.parity.saturation import WHERE

ORDER = 1
QUESTION = "Does the exported model still give the same answers?"


def build(material: Material, _options: ViewOptions) -> Iterator[Answer]:
    """Per verified run: failures first, then flips by precision, then what is proved."""
    sentences = [" ".join(_sentences(record)) for record in material.comparisons]
    if sentences:
        yield Answer(QUESTION, sentences, "parity")


def _sentences(record: ParityRecord) -> Iterator[str]:
    """Answer of one run."""
    targets = by_target(record)
    yield (
        f"{record.name}: {_verdict(record)}{under_assumption(record)}. {many(len(targets), 'target')} answered "
        f"{len(record.labels):,} test images in {many(len(record.results), 'configuration')}."
    )
    yield from _causes(record)
    for why, names in together(record.unreachable, lambda one: one.reason).items():
        yield f"Nothing is known of {', '.join(names)}: {why}."
    for kind, wanted in (("float32", True), ("lower precisions", False)):
        of_kind = {
            name: results
            for name, results in targets.items()
            if (results[0].configuration.precision == "fp32") is wanted
        }
        if of_kind:
            yield from _flips(record, kind, of_kind)
    if can := [name for name, found in record.saturation.items() if not found.fits_16_bits]:
        yield f"On {WHERE}, {', '.join(can)} can saturate and give other answers than here."
    for found in record.quantised:
        yield _quantised(record, found)
    covered = record.certificate
    yield (
        f"Proved for every IEEE float32 runtime, whether it was run or not and in whatever order it sums: on "
        f"{covered.certified:,} of {covered.images:,} test images it cannot predict anything else."
    )


def _verdict(record: ParityRecord) -> str:
    """Say in a word whether the answers are the same."""
    if wrong := [name for name, results in by_target(record).items() if failed(results)]:
        return f"NOT in {', '.join(wrong)}"
    if lost := [one.target for one in record.unreachable]:
        return f"not known of {', '.join(lost)}"
    return "yes, within the tolerance of each precision" if record.results else "not known, since no target was asked"


def _causes(record: ParityRecord) -> Iterator[str]:
    """Say what is wrong with targets that fail, where that is known."""
    for found in record.diagnoses:
        if found.cause:
            yield f"{found.target}: {found.cause.says}; {found.cause.remedy}."
        else:
            yield f"None of the usual causes explains the answers of {found.target}."


def _quantised(record: ParityRecord, found: QuantisedCertificate) -> str:
    """Say what is proved of a quantised file."""
    saturates = f", although {len(found.saturating):,} saturate on some" if found.saturating else ""
    return (
        f"{quantised_name(found)}: proved to give the same prediction on every processor for {found.certified:,} of "
        f"{found.images:,} test images{saturates}; quantisation itself is proved to keep {found.agreeing:,} "
        f"predictions and to change {len(changed_by_quantisation(record, found)):,}."
    )


def _flips(record: ParityRecord, kind: str, targets: dict[str, list[ParityResult]]) -> Iterator[str]:
    """Say which targets predict otherwise on test images, and on which edge images."""
    changed = [f"{name} {count}" for name, results in targets.items() if (count := flipped(record, results))]
    if changed:
        rest = "; none in the others" if len(changed) < len(targets) else ""
        yield f"In {kind}, predictions on test images that differ from the reference: {', '.join(changed)}{rest}."
    else:
        yield f"In {kind}, no prediction on any test image differs from the reference."
    edges = {name: named for name, results in targets.items() if (named := flipped_edges(record, results))}
    if edges:
        where = "; ".join(f"{name} on {', '.join(named)}" for name, named in edges.items())
        yield f"Some of the artificial edge images are predicted differently: by {where}."
