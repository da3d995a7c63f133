"""How far each runtime agrees with the reference."""

from collections.abc import Iterator

from mnist_bench.analysis.parity import by_target, failed, flipped, largest, under_assumption
from mnist_bench.core.types import RUNGS, ParityRecord, ParityResult
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 1


def build(record: ParityRecord, _options: ViewOptions) -> Iterator[Table]:
    """Verdicts and differences, a row per runtime and precision with the worst of its configurations; the failures."""
    columns = [
        Column("Runtime"),
        Column("Verdict"),
        Column("Rung held"),
        Column("Accuracy", Unit.SHARE),
        Column("Flips", Unit.COUNT),
        Column("Ties", Unit.COUNT),
        Column("Certified", Unit.COUNT),
        Column("Runs", Unit.COUNT),
    ]
    groups = sorted(by_target(record).items(), key=lambda group: failed(group[1]), reverse=True)
    rows = [_verdict(record, name, results) for name, results in groups]
    title = f"Runtimes of {record.name} against the float64 reference{under_assumption(record)}"
    yield Table(title, columns, rows, notes=_notes(record))
    yield _differences(record)
    yield from _failures(record)


def _verdict(record: ParityRecord, name: str, results: list[ParityResult]) -> list[Cell]:
    return [
        name,
        "FAILED" if failed(results) else "passed",
        RUNGS[min(result.rung for result in results)],
        min(result.correct for result in results) / len(record.labels),
        flipped(record, results),
        max(result.ties for result in results),
        min(_certified_alike(record, result) for result in results),
        len(results),
    ]


def _certified_alike(record: ParityRecord, result: ParityResult) -> int:
    """Return how many certified test images are predicted as the reference predicts them."""
    if result.largest_difference is None:
        return 0
    open_questions = {entry.image for entry in record.certificate.uncertified}
    tests = (deviation.image for deviation in result.deviations if deviation.image < len(record.labels))
    return record.certificate.certified - sum(image not in open_questions for image in tests)


def _differences(record: ParityRecord) -> Table:
    fields = ("largest_difference", "median_difference", "largest_ulp", "median_ulp", "smallest_tolerance_eps")
    columns = [
        Column("Runtime"),
        Column("Largest |Δ|", Unit.TINY),
        Column("Median |Δ|", Unit.TINY),
        Column("Largest ulp", Unit.COUNT),
        Column("Median ulp", Unit.LOGITS),
        Column("Tolerance, eps", Unit.LOGITS),
    ]
    rows = [[name, *(largest(results, field) for field in fields)] for name, results in by_target(record).items()]
    note = (
        f"Tolerance: the smallest that passes, in units of 2^-23 times the largest |logit|; in fp32, 32 "
        f"({record.tolerance:.2g}) is allowed. Ulp: float32 units in the last place of the reference's logit."
    )
    return Table("Differences of logits, |Δ|", columns, rows, notes=[note])


def _notes(record: ParityRecord) -> list[str]:
    covered = record.certificate
    return [
        f"Each row is the worst of its runs: batch sizes × threads, each on all {len(record.labels):,} test images and "
        f"{len(record.edges)} edge images ({', '.join(record.edges)}). What failed comes first.",
        f"The reference predicts {record.reference_correct / len(record.labels):.2%} correctly. Certificate: on "
        f"{covered.certified:,} of {covered.images:,} test images ({covered.certified / covered.images:.2%}) no IEEE "
        f"float32 runtime can predict another class.",
        *_blindness(record),
        "Flips: predictions on test images that differ from the reference's. Ties: flips, on edge images too, that "
        "rounding explains. Certified: certified test images with the same prediction. The checks, from the weakest to "
        "the strictest: " + " < ".join(RUNGS[1:]) + ".",
    ]


def _blindness(record: ParityRecord) -> Iterator[str]:
    """Say what an fp32 row does not show."""
    if found := record.blind:
        yield (
            f"Also asked: {found.probes:,} probes, images constructed from the weights to activate every hidden unit. "
            f"Blind spot: of {found.trials:,} randomly drawn weights, {found.unseen} "
            f"({found.unseen / found.trials:.2%}) could change their sign in an fp32 file without failing here."
        )


def _failures(record: ParityRecord) -> Iterator[Table]:
    columns = [Column("Runtime"), Column("Threads", Unit.COUNT), Column("Batch", Unit.COUNT), Column("What failed")]
    rows = [
        (result.configuration.target, result.configuration.threads, result.configuration.batch_size, failure)
        for result in record.results
        for failure in result.failures
    ]
    if rows:
        yield Table("Failures", columns, rows)
