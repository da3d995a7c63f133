"""Does the exported model still give the same answers?"""

from collections.abc import Iterator

from mnist_bench.core.types import ParityRecord
from mnist_bench.report._answer import Answer
from mnist_bench.report._material import Material
from mnist_bench.report._parity import by_target
from mnist_bench.report._table import ViewOptions

ORDER = 1
QUESTION = "Does the exported model still give the same answers?"


def build(material: Material, _options: ViewOptions) -> Iterator[Answer]:
    """Per verified run: failures first, then flips by precision, then what is proved."""
    sentences = [" ".join(_sentences(record)) for record in material.comparisons]
    if sentences:
        yield Answer(QUESTION, sentences, "parity")


def _sentences(record: ParityRecord) -> Iterator[str]:
    targets = by_target(record)
    failed = [name for name, results in targets.items() if any(result.failures for result in results)]
    verdict = f"NOT in {', '.join(failed)}" if failed else "yes, by the rules of each precision"
    yield (
        f"{record.name}: {verdict}. {len(targets)} target{'s' if len(targets) > 1 else ''} answered "
        f"{len(record.labels):,} test images in {len(record.results)} configurations."
    )
    for kind, wanted in (("float32", True), ("lower precisions", False)):
        flips = {
            name: max(len(result.deviations) for result in results)
            for name, results in targets.items()
            if (results[0].configuration.precision == "fp32") is wanted
        }
        if flips:
            yield _flips(kind, flips)
    covered = record.certificate
    yield (
        f"On {covered.certified:,} of {covered.images:,} test images no IEEE float32 runtime, in whatever order it "
        f"sums, can predict anything else: proved, for runtimes too that nobody has run."
    )


def _flips(kind: str, flips: dict[str, int]) -> str:
    changed = [f"{name} {count}" for name, count in flips.items() if count]
    if not changed:
        return f"In {kind} not one prediction differs from the reference's."
    return f"In {kind}, predictions that differ from the reference's: {', '.join(changed)}; none in the others."
