"""Latency against accuracy lost, a point per target: what a target costs and what it gives, in one picture."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from mnist_bench.analysis.comparison import takes_part
from mnist_bench.analysis.parity import by_target
from mnist_bench.analysis.timing import place_name, summarise, timed_calls
from mnist_bench.core import text
from mnist_bench.core.bench_types import InferenceBenchRecord
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import ParityRecord
from mnist_bench.report._deployment import passed_everywhere
from mnist_bench.report._material import Material
from mnist_bench.report.figures._style import BLUE, GREEN, ORANGE, PURPLE, Picture, panel, short, time_axis

if TYPE_CHECKING:
    from matplotlib.transforms import Bbox

ORDER = 0
FLAT = 0.05
"""Percentage points that the vertical axis spans at least, up and down: below, differences are single images."""
SPREAD = 1.0
"""Percentage points from which on the vertical axis is logarithmic: one failed target would flatten all others."""
LOOKS = {"fp32": ("o", BLUE), "int8": ("^", GREEN), "int8-dynamic": ("^", GREEN)}
OTHER = ("D", PURPLE)
WRONG = ("X", ORANGE)
BESIDE = [((x, y), align) for y in (9, -15) for x, align in ((0, "center"), (-4, "left"), (4, "right"))]
"""Where a name may stand: above or below, at the middle or from either side, in points."""


@dataclass(frozen=True)
class Point:
    """A target: its lowest median of a call in µs, None where it was not timed; and the points of accuracy it loses."""

    target: str
    precision: str
    failed: bool
    lost: float
    time_us: float | None


def build(material: Material) -> Iterator[Picture | Skipped]:
    """A picture per run that was both verified and benchmarked, at batch 1 or the smallest that was measured."""
    compared, drawn = {record.name: record for record in material.comparisons if record.results}, False
    for record in material.records:
        measured = material.inference_of(record)
        if measured and record.name in compared:
            yield _picture(compared[record.name], measured, passed_everywhere(material, record) or ())
            drawn = True
    if not drawn:
        how = material.command_of_first("bench" if compared else "verify")
        yield Skipped("latency against accuracy", "no run was both verified and benchmarked", how)


def _points(compared: ParityRecord, measured: InferenceBenchRecord, passed: Collection[str], batch: int) -> list[Point]:
    times: dict[str, float] = {}
    for row in timed_calls(measured):
        own = row.configuration
        if own.batch_size == batch and takes_part(measured, row):
            found = summarise(measured, row).p50 * 1e6
            times[own.target] = min(found, times.get(own.target, found))
    return [
        Point(
            name,
            results[0].configuration.precision,
            name not in passed,
            100 * (compared.reference_correct - min(one.correct for one in results)) / len(compared.labels),
            times.get(name),
        )
        for name, results in by_target(compared).items()
    ]


def _picture(compared: ParityRecord, measured: InferenceBenchRecord, passed: Collection[str]) -> Picture:
    batch = min(measured.plan.batch_sizes)
    points = _points(compared, measured, passed, batch)
    figure, axes = panel(f"{short(compared.name)}: latency against accuracy lost", 10.5, 3.3)
    timed = [one.time_us for one in points if one.time_us]
    aside = max(timed, default=1.0) * 3
    for kind in sorted({_kind(one) for one in points}, key=lambda kind: (kind != "failed", kind)):
        of_kind = [one for one in points if _kind(one) == kind]
        marker, colour = WRONG if kind == "failed" else LOOKS.get(kind, OTHER)
        places = [one.time_us or aside for one in of_kind]
        axes.plot(places, [one.lost for one in of_kind], marker, color=colour, markersize=8, alpha=0.85, label=kind)
    _scales(axes, points)
    time_axis(axes, f"µs per call, {place_name(batch, 0).split(',')[0]}, best number of threads")
    if untimed := sum(one.time_us is None for one in points):
        where = axes.get_xaxis_transform()
        axes.axvline(aside / 1.7, color="#dddddd", linewidth=1)
        axes.text(aside, 1.0, f"{untimed} not timed", ha="center", va="bottom", transform=where, fontsize=9)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.draw_without_rendering()
    _name(axes, points, aside)
    return Picture(compared.name, "deployment", figure, _says(compared, points, batch))


def _kind(point: Point) -> str:
    return "failed" if point.failed else point.precision


def _scales(axes: Axes, points: Sequence[Point]) -> None:
    axes.axhline(0.0, color="#777777", linewidth=1, zorder=0)
    axes.set(ylabel="test accuracy lost (points)", xscale="log")
    worst = max((abs(one.lost) for one in points), default=0.0)
    if worst > SPREAD:
        axes.set_yscale("symlog", linthresh=0.1)
        axes.set_ylim(min(-0.1, *(one.lost * 2 for one in points)), worst * 6)
    else:
        axes.set_ylim(-max(1.3 * worst, FLAT), max(1.3 * worst, FLAT))
    axes.yaxis.set_major_formatter("{x:g}")


def _name(axes: Axes, points: Sequence[Point], aside: float) -> None:
    """Write names beside points, what failed first, then the fastest: as many as fit without touching.

    What was not timed is in one place, and only named where it failed.
    """
    taken: list[Bbox] = []
    named = [one for one in points if one.failed or one.time_us]
    for one in sorted(named, key=lambda one: (not one.failed, one.time_us or aside)):
        for beside, align in BESIDE:
            place = (one.time_us or aside, one.lost)
            label = axes.annotate(
                text.line(one.target), place, beside, textcoords="offset points", ha=align, fontsize=9
            )
            box = label.get_window_extent().padded(2)
            inside = axes.bbox.padded(1).containsx(box.x0) and axes.bbox.containsx(box.x1) and box.y1 <= axes.bbox.y1
            if inside and not box.count_overlaps(taken):
                taken.append(box)
                break
            label.remove()


def _says(compared: ParityRecord, points: Sequence[Point], batch: int) -> str:
    wrong = [one.target for one in points if one.failed]
    passed = [one for one in points if not one.failed]
    timed = [one for one in passed if one.time_us]
    same = sum(one.lost <= 0 for one in passed)
    words = [f"Targets of {compared.name} at batch {batch}: down and to the left is better."]
    words += [f"FAILED: {', '.join(wrong)}."] if wrong else []
    words += [f"{same} of {len(passed)} that passed lose no accuracy."] if passed else []
    if timed:
        best = min(timed, key=lambda one: one.time_us or 0.0)
        words.append(f"The fastest that passed is {best.target} ({best.time_us:,.1f} µs, {_change(best.lost)}).")
    return " ".join(words)


def _change(lost: float) -> str:
    """Say what a target costs in accuracy: a gain is not called a negative loss."""
    if lost == 0:
        return "no accuracy lost"
    return f"{abs(lost):.2f} points {'lost' if lost > 0 else 'gained'}"
