"""Many seeds: what one training cannot tell."""

from collections.abc import Iterator

from mnist_bench.core.commands import line
from mnist_bench.core.kinds import Skipped
from mnist_bench.report._figures import pictures
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.page._blocks import Block, Folded, Heading
from mnist_bench.report.views.study import study, study_activations, study_difference, study_seeds

ORDER = 5
TITLE = "Over many seeds"


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """Per study: the distributions, the paired differences, and every seed, folded; or how to make one."""
    if not material.studies:
        first = material.records[0]
        words = ("--dataset", first.config.dataset, "--epochs", str(first.config.epochs))
        how = line("study", *words, out=material.out)
        yield Skipped("a study", "none that trains as these runs were trained is in their folder", how)
        return
    plots = list(pictures(material, "study"))
    for record in material.studies:
        yield Heading(record.name)
        yield from (one for one in plots if isinstance(one, Skipped) or one.run == record.name)
        yield from study_activations.build(record, options)
        yield from study_difference.build(record, options)
        yield Folded(
            "What was planned, and every seed", [*study.build(record, options), *study_seeds.build(record, options)]
        )
