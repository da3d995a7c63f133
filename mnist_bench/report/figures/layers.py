"""How far each layer is from the reference, and how far it can be in float32."""

from collections.abc import Iterator, Sequence
from typing import Any

from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import LayerError, ParityRecord, TargetLayers
from mnist_bench.report._material import Material
from mnist_bench.report.figures._style import INK, LINES, Picture, panel, short

ORDER = 9


def build(material: Material) -> Iterator[Picture | Skipped]:
    """A picture per comparison whose float32 targets showed their layers; or that none did."""
    found = [record for record in material.comparisons if _bounded(record)]
    for record in found:
        yield _picture(record, _bounded(record)[: len(LINES)])
    if not found and material.records:
        yield Skipped("layers", "no layers were looked at", material.command_of_first("verify", "--layers"))


def _bounded(record: ParityRecord) -> list[TargetLayers]:
    """Return the targets that the certificate covers, layer by layer."""
    return [target for target in record.layers if all(layer.largest_bound is not None for layer in target.layers)]


def _picture(record: ParityRecord, targets: Sequence[TargetLayers]) -> Picture:
    figure, axes = panel(f"{short(record.name)}: largest difference, layer by layer")
    for target, (color, marker, dash) in zip(targets, LINES, strict=False):
        style: dict[str, Any] = {"color": color, "marker": marker, "linestyle": dash, "markersize": 5}
        axes.plot(*_points(target.layers, "largest"), label=short(target.target), **style)
    axes.plot(*_points(targets[0].layers, "largest_bound"), color=INK, linewidth=2.4, label="bound for float32")
    axes.set(yscale="log", ylabel="|Δ| from the float64 reference")
    figure.legend(loc="outside lower center", ncols=3)
    return Picture(record.name, "layers", figure, _says(record, targets))


def _points(layers: Sequence[LayerError], name: str) -> tuple[list[str], list[float]]:
    """Return names and values; what is not finite, or zero, has no place on a logarithmic axis."""
    return [layer.layer for layer in layers], [getattr(layer, name) or float("nan") for layer in layers]


def _says(record: ParityRecord, targets: Sequence[TargetLayers]) -> str:
    ends = [f"{target.target} {_written(target.layers[-1].largest)}" for target in targets]
    leaving = [
        f"{target.target} leaves its bound first in {layer.layer}"
        for target in targets
        for layer in [one for one in target.layers if one.beyond][:1]
    ]
    return (
        f"Largest difference from the float64 reference in each layer of {record.name}, on {targets[0].images:,} test "
        f"images, below the largest bound for float32; in the last layer: {', '.join(ends)}, and the bound "
        f"{_written(targets[0].layers[-1].largest_bound)}. {'; '.join(leaving) or 'No value leaves its bound'}."
    )


def _written(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.1e}"
