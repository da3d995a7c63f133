"""In which layer answers drift, and what each layer's quantisation costs."""

from collections.abc import Iterator

from mnist_bench.core.types import LogitError, ParityRecord, QuantisationShares, TargetLayers
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 7


def build(record: ParityRecord, _options: ViewOptions) -> Iterator[Table]:
    """A row a layer of each target that shows them, and a row a layer of each quantised file; none where not asked."""
    if record.layers:
        yield _drift(record)
    if record.shares:
        yield _shares(record)


def _drift(record: ParityRecord) -> Table:
    columns = [
        Column("Target"),
        Column("Layer"),
        Column("Largest |Δ|", Unit.TINY),
        Column("Median |Δ|", Unit.TINY),
        Column("Largest bound", Unit.TINY),
        Column("Median bound", Unit.TINY),
        Column("Of its bound", Unit.SHARE),
        Column("Beyond", Unit.COUNT),
    ]
    rows = [row for target in record.layers for row in _layers(target)]
    return Table("Where the answers drift, layer by layer", columns, rows, notes=list(_notes(record)))


def _layers(target: TargetLayers) -> Iterator[list[Cell]]:
    for layer in target.layers:
        bounded = layer.largest_bound is not None or layer.beyond
        yield [
            target.target,
            layer.layer,
            layer.largest,
            layer.median,
            layer.largest_bound,
            layer.median_bound,
            layer.bound_used,
            layer.beyond if bounded else None,
        ]


def _notes(record: ParityRecord) -> Iterator[str]:
    images = max(target.images for target in record.layers)
    yield (
        f"fc: a layer's sums, act: what its activation makes of them, over all units and the {images:,} test images of "
        f"the smallest margins, against the float64 reference. Bounds: the certificate's for IEEE float32; of its "
        f"bound: the largest share that a value uses of its own; beyond: values that leave it."
    )
    for target in record.layers:
        if target.same_bits < target.images:
            yield (
                f"{target.target} computes differently when it shows its layers: the logits have the same bits on "
                f"{target.same_bits:,} of {target.images:,} images."
            )


def _shares(record: ParityRecord) -> Table:
    columns = [
        Column("Quantised file"),
        Column("In float"),
        Column("Of the error", Unit.SHARE),
        Column("inputs", Unit.SHARE),
        Column("weights", Unit.SHARE),
        Column("sums", Unit.SHARE),
        Column("RMS |Δ|", Unit.TINY),
        Column("Largest |Δ|", Unit.TINY),
        Column("Flips", Unit.COUNT),
    ]
    notes = [
        "One layer at a time is replaced by its float version. Of the error: how much of the mean squared error of "
        "the logits this removes. Inputs, weights, sums: how much is removed if only the layer's inputs, only its "
        "weights, or only its sums before the activation are not rounded. All layers add up to about 100%.",
        "Keep the layer with the largest share in float; if most of its share comes from the sums, keep its activation "
        "in float too (docs/layers.md). Computed in float64 from the file, on all test images.",
    ]
    rows = [row for found in record.shares for row in _file(found)]
    return Table("What each layer's quantisation costs", columns, rows, notes=notes)


def _file(found: QuantisationShares) -> Iterator[list[Cell]]:
    name = f"{found.format} {found.precision}"
    yield [name, "none", None, None, None, None, *_error(found.whole)]
    for layer in found.layers:
        yield [
            *(name, layer.layer, layer.share, layer.of_inputs, layer.of_weights, layer.of_sums),
            *_error(layer.kept),
        ]


def _error(error: LogitError) -> list[Cell]:
    return [error.root_mean_square, error.largest, error.flips]
