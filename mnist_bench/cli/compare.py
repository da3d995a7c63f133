"""`mnist-bench compare`."""

from pathlib import Path

import click

from mnist_bench.cli import _options

RECORD = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    epilog="""\b
Examples:
  # is anything faster or slower?
  mnist-bench compare before.json after.json
  # two runs
  mnist-bench compare exports/a/bench.json exports/b/bench.json
  # for a pull request
  mnist-bench compare before.json after.json --format markdown
"""
)
@click.argument("baseline", type=RECORD)
@click.argument("candidate", type=RECORD)
@click.option("--allow-unlike", is_flag=True, help="Compare even if the machines differ.")
@_options.renderer
def command(baseline: Path, candidate: Path, allow_unlike: bool, renderer: str) -> None:
    """Compare two saved benchmarks row by row.

    Each row has a ratio, its exact confidence interval and a verdict. The two records were measured at different times,
    so a change of the machine in between shows as a difference too. For a decision, measure both sides in the same
    blocks with bench --gate.
    """
    import mnist_bench.report as report
    from mnist_bench import store
    from mnist_bench.analysis import comparison, machines
    from mnist_bench.analysis.self_test import half_widths
    from mnist_bench.analysis.timing import unsteady
    from mnist_bench.cli._output import print_tables
    from mnist_bench.core.bench_types import BenchRecord, SelfTestRecord

    before, after = (store.read(path, BenchRecord) for path in (baseline, candidate))
    widths = half_widths(store.load_if_sound(candidate.parent, SelfTestRecord), after.environment)
    compared = comparison.compare_records(before, after, allow_unlike=allow_unlike, half_widths=widths)
    differing = machines.software_differences(before.environment, after.environment)
    differing += machines.condition_differences(before.conditions, after.conditions)
    if allow_unlike:
        differing += machines.machine_differences(before.environment, after.environment)
    same = baseline.samefile(candidate)
    notes = [
        "Both are the same record."
        if same
        else "Measured in two sessions: what the machine did in between is in the ratios, and not in their intervals. "
        "bench --gate measures both in the same blocks.",
        *([f"They differ in {'; '.join(differing)}."] if differing else []),
    ]
    for record, path in ((before, baseline), (after, candidate)):
        if trouble := unsteady(record):
            notes.append(f"While {path} was measured the machine was unsteady: {trouble}.")
    title = f"{candidate} against {baseline}"
    print_tables(renderer, [report.comparison_table(title, compared, comparison.CONFIDENCE, notes)])
