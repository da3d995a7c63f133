"""What the tables and the figures of studies have in common."""

from pathlib import Path

from mnist_bench.analysis import study
from mnist_bench.core.commands import on_study
from mnist_bench.core.study_types import StudyRecord

NAMED = 6


def going_on(record: StudyRecord, out: Path) -> list[str]:
    """Say which trainings are lacking, and how to get them; nothing where none is."""
    lacking = record.lacking
    if not lacking:
        return []
    named = ", ".join(f"{activation} seed {seed}" for activation, seed in lacking[:NAMED])
    more = f" and {len(lacking) - NAMED:,} more" if len(lacking) > NAMED else ""
    return [f"Lacking: {named}{more}: {on_study(out / record.name, '--resume')} goes on."]


def points(share: float) -> str:
    """Write a size in percentage points."""
    return f"{100 * share:.2f}"


def in_words(arm: study.Arm) -> str:
    """Say by how much one network's accuracy depends on the seed, and on which images it is tested."""
    images, error = f"on another test set of {arm.test_images:,} images", points(arm.sampling_error)
    move = f"{arm.activation}: a network's accuracy would typically move by"
    if not arm.accuracy.deviation:
        told = "one seed cannot" if len(arm.seeds) == 1 else f"{len(arm.seeds)} seeds of the same accuracy cannot"
        return f"{move} ±{error} points {images}; what another seed would do, {told} tell."
    seeds = points(arm.accuracy.deviation)
    return f"{move} ±{seeds} points with another seed, and by ±{error} {images} (standard deviations)."


def verdict(found: study.Paired) -> str:
    """Say in a sentence or two what the paired difference shows, and what it does not."""
    mean, interval = found.accuracy.mean, found.accuracy.interval
    than = f"{found.second} is {points(abs(mean))} points {'better' if mean > 0 else 'worse'} than {found.first}"
    if interval is None:
        pairs = len(found.seeds)
        seen = "One pair" if pairs == 1 else f"{pairs} pairs that all differ by {100 * mean:+.2f} points"
        return f"{seen} cannot tell how the difference varies from seed to seed: train more seeds."
    ends = f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f} points"
    errors = (
        f"other seeds would typically move the mean by ±{points(found.accuracy.standard_error or 0.0)}, "
        f"another test set by ±{points(found.image_error)}"
    )
    if not found.beyond_seeds:
        return (
            f"No significant difference, which is not the same as none: the accuracy of {found.second} minus that of "
            f"{found.first} may be anything from {ends} ({errors})."
        )
    if not found.beyond_images:
        return f"On these test images {than} (95%: {ends}), but another test set might turn that ({errors})."
    return f"On average {than} (95%: {ends}), beyond what seeds and test images explain: {errors}."
