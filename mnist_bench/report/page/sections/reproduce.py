"""The commands that do all of this again."""

from collections.abc import Iterator

from mnist_bench.core.commands import (
    bench_command,
    export_commands,
    fleet_command,
    report_command,
    study_command,
    train_command,
    verify_command,
)
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.page._blocks import Block, Commands

ORDER = 14
TITLE = "Reproduce"


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """Per run, the command behind each part of this page."""
    for record in material.records:
        lines = [train_command(record, material.out)]
        for one in material.manifests:
            lines += export_commands(one, material.out) if one.run == record.name else []
        lines += [verify_command(one, material.out) for one in material.comparisons if one.name == record.name]
        lines += [fleet_command(one, material.out) for one in material.fleets if one.name == record.name]
        if bench := material.inference_of(record):
            lines.append(bench_command(bench, material.out))
        yield Commands(record.name, lines, _caveats(record.config.device))
    if material.studies:
        yield Commands("The study", [study_command(record, material.out) for record in material.studies])
    yield Commands("This page", [report_command(*_names(material), options.convergence_at, material.out)])


def _names(material: Material) -> tuple[list[str], list[str]]:
    return [record.name for record in material.records], [record.name for record in material.studies]


def _caveats(device: str) -> list[str]:
    return [
        f"On the same build of torch, the same kind of processor, {device} and as many threads, the weights come out "
        f"bit for bit the same; times never do."
    ]
