"""On what machine, with which software, and with which bytes."""

from collections.abc import Iterator

from mnist_bench.core.bench_types import Conditions
from mnist_bench.core.dataset_names import shown
from mnist_bench.core.types import Environment, Record
from mnist_bench.report._material import Material
from mnist_bench.report._measured import facts_of
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions
from mnist_bench.report.page._blocks import Block, Folded

ORDER = 13
TITLE = "Environment and hashes"


def build(material: Material, _options: ViewOptions) -> Iterator[Block]:
    """The machine of each training, what may have changed its speed while it was measured, and every hash."""
    for record in material.records:
        verb = "imported" if record.imported else "trained"
        yield _facts(f"The machine that {verb} {record.name}", record.environment)
        if bench := material.inference_of(record):
            yield _facts(f"The machine while {record.name} was benchmarked", bench.environment, bench.conditions)
    rows = [line for record in material.records for line in _hashes(material, record)]
    columns = [Column("Run"), Column("What"), Column("Bytes", Unit.BYTES), Column("SHA-256")]
    note = "The manifest names every exported file with its hash; a file that differs is refused before it is opened."
    yield Table("Hashes", columns, rows, notes=[note])


def _facts(title: str, *parts: Environment | Conditions) -> Folded:
    lines = [line for part in parts for line in facts_of(part)]
    return Folded(title, [Table(title, [Column("What"), Column("Found")], lines)])


def _hashes(material: Material, record: Record) -> Iterator[list[Cell]]:
    for part, digest in record.dataset.sha256.items():
        yield [record.name, f"{shown(record.dataset.name)}: {part}", None, digest]
    if record.imported:
        yield [record.name, record.imported.source, record.imported.size_bytes, record.imported.sha256]
    if record.checkpoint:
        weights = record.checkpoint.weights
        yield [record.name, weights.name, weights.size_bytes, weights.sha256]
    for manifest in material.manifests:
        if manifest.run == record.name:
            for artifact in manifest.artifacts:
                yield [record.name, artifact.name, artifact.size_bytes, artifact.sha256]
