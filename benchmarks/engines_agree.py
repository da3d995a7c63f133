"""Do two engines come to the same accuracy? The same seeds trained with both, compared seed by seed.

Usage: mnist-bench study --seeds 8 --engine ENGINE --study NAME, for each; then
python benchmarks/engines_agree.py exports/NAME exports/OTHER … [--record FILE]

Each study after the first is compared with the first: the mean of the differences in test accuracy after the last
epoch, with its 95% interval by Student's t.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import msgspec

from mnist_bench import store
from mnist_bench.analysis import seeds as statistics
from mnist_bench.analysis import study
from mnist_bench.core.kinds import Activation
from mnist_bench.core.study_types import StudyRecord


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("studies", nargs="+", type=Path)
    parser.add_argument("--record", type=Path)
    given = parser.parse_args()
    first, *others = map(store.load_study, given.studies)
    found = [
        compared(first, other, activation)
        for other in others
        for activation in first.activations
        if activation in other.activations
    ]
    print(json.dumps([{name: value for name, value in one.items() if name != "seeds"} for one in found], indent=1))
    if given.record:
        content = {"environment": msgspec.to_builtins(first.environment), "comparisons": found}
        given.record.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def compared(first: StudyRecord, second: StudyRecord, activation: Activation) -> dict[str, Any]:
    befores, afters = (accuracies(record, activation) for record in (first, second))
    seeds = sorted(befores.keys() & afters.keys())
    differences = [afters[seed] - befores[seed] for seed in seeds]
    spread = study.spread(differences)
    return {
        "engines": [first.config.engine, second.config.engine],
        "activation": activation,
        "mean_difference": spread.mean,
        "interval": spread.interval and [spread.interval.low, spread.interval.high],
        "p": statistics.p_of_no_difference(differences),
        "seeds": {seed: [befores[seed], afters[seed]] for seed in seeds},
    }


def accuracies(record: StudyRecord, activation: Activation) -> dict[int, float]:
    return {result.seed: result.test.accuracy for result in record.results if result.activation == activation}


if __name__ == "__main__":
    main()
