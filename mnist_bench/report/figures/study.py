"""A study: how the final accuracies of each activation are distributed, and how they differ seed by seed."""

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from mnist_bench.analysis import study
from mnist_bench.core.commands import on_study
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.study_types import StudyRecord
from mnist_bench.report._material import Material
from mnist_bench.report._study import verdict
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.figures._style import GREEN, INK, LINES, MUTED, Picture, panel, short

ORDER = 6
SIZE = 26  # of a dot, in square points
BINS = 30  # places along the axis; dots that share one are stacked
ROW, BASE = 1.0, 0.16  # a row's height, and where its dots begin above the interval
STEP, HIGHEST_STACK = 0.1, 0.5  # between dots, and of a whole stack


def build(material: Material) -> Iterator[Picture | Skipped]:
    """Two pictures per study: the accuracies, and the differences where seeds have a result of both activations."""
    for record in material.studies:
        how = on_study(material.out / record.name, "--resume")
        arms, found = study.arms(record, ViewOptions().convergence_at), study.paired(record)
        yield _accuracies(record, arms) if arms else Skipped(f"{record.name}", "no seed is trained", how)
        if found:
            yield _differences(record, found)
        elif len(record.activations) > 1:
            yield Skipped(f"differences of {record.name}", "no seed is trained with both activations", how)


def _accuracies(record: StudyRecord, arms: Sequence[study.Arm]) -> Picture:
    figure, axes = panel(f"{short(record.name)}: test accuracy after epoch {record.config.epochs}")
    width = _bin_width([value for arm in arms for value in arm.accuracy.values])
    for row, (arm, (color, marker, _)) in enumerate(zip(arms, LINES, strict=False)):
        _dots(axes, -row * ROW, arm.accuracy, width, color=color, marker=marker)
        _mean(axes, -row * ROW, arm.accuracy, f"{arm.accuracy.mean:.2%}")
    names = [f"{arm.activation}\n{_seeds(len(arm.seeds))}" for arm in arms]
    axes.set_yticks([BASE - row * ROW for row in range(len(arms))], names)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    _finish(axes, len(arms), "A dot a seed; below, the mean and its 95% interval")
    return Picture(record.name, "study-accuracies", figure, _accuracies_say(record, arms))


def _accuracies_say(record: StudyRecord, arms: Sequence[study.Arm]) -> str:
    parts = []
    for arm in arms:
        low, high = min(arm.accuracy.values), max(arm.accuracy.values)
        interval = arm.accuracy.interval
        ends = f" (95% interval of the mean {interval.low:.2%} to {interval.high:.2%})" if interval else ""
        parts.append(
            f"{arm.activation}, {_seeds(len(arm.seeds))}: mean {arm.accuracy.mean:.2%}{ends}, "
            f"from {low:.2%} to {high:.2%}"
        )
    return f"Test accuracy of {record.name} after epoch {record.config.epochs}, a dot a seed. {'; '.join(parts)}."


def _differences(record: StudyRecord, found: study.Paired) -> Picture:
    title = f"{short(record.name)}: {found.second} minus {found.first}, seed by seed"
    figure, axes = panel(title, height_inches=2.9)
    width = _bin_width((*found.accuracy.values, 0.0))
    axes.axvline(0.0, color=MUTED, linestyle="--", linewidth=1.4, zorder=2.6)
    _dots(axes, 0.0, found.accuracy, width, color=GREEN, marker="o")
    _mean(axes, 0.0, found.accuracy, f"{100 * found.accuracy.mean:+.2f}")
    axes.set_yticks([BASE], [f"{_seeds(len(found.seeds))}"])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:+.4g}" if value else "0"))
    _finish(axes, 1, "Difference of the test accuracies, percentage points")
    says = (
        f"Difference of the test accuracies of {record.name}, {found.second} minus {found.first}, a dot a seed, "
        f"{len(found.seeds)} in all; the dashed line is no difference. {verdict(found)}"
    )
    return Picture(record.name, "study-differences", figure, says)


def _seeds(count: int) -> str:
    return f"{count} seed{'s' if count > 1 else ''}"


def _bin_width(values: Sequence[float]) -> float:
    return (max(values) - min(values)) / BINS or 1e-3


def _dots(axes: Axes, y: float, found: study.Spread, width: float, **style: Any) -> None:
    """Draw a dot a seed above `y`; those that would overlap are stacked."""
    stacks: dict[int, int] = {}
    places = []
    for value in sorted(found.values):
        place = round(value / width)
        stacks[place] = stacks.get(place, 0) + 1
        places.append((value, stacks[place]))
    step = min(STEP, HIGHEST_STACK / max(stacks.values()))
    heights = [y + BASE + step * height for _, height in places]
    axes.scatter(
        [value for value, _ in places], heights, s=SIZE * step / STEP, alpha=0.8, linewidths=0, zorder=3, **style
    )


def _mean(axes: Axes, y: float, found: study.Spread, label: str) -> None:
    """Draw the mean, with its number, and its interval, where there is one."""
    if found.interval:
        axes.plot(found.interval, [y, y], color=INK, linewidth=2.4, solid_capstyle="butt", zorder=4)
    axes.plot([found.mean], [y], color=INK, marker="D", markersize=6, zorder=5)
    axes.annotate(label, (found.mean, y), (0, -8), textcoords="offset points", ha="center", va="top", fontsize=10)


def _finish(axes: Axes, rows: int, label: str) -> None:
    axes.set_xlabel(label)
    axes.set_ylim(-(rows - 1) * ROW - 0.36, BASE + HIGHEST_STACK + 0.12)
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
