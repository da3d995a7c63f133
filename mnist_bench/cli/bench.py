"""`mnist-bench bench`."""

from typing import Any

import click

from mnist_bench.cli import _options
from mnist_bench.core.kinds import SCENARIOS
from mnist_bench.stages import requests

OF_PLACES = ("places", "commands", "command_format", "command_precision")
PLANNED = (
    *("runtimes", "engines", "batch_sizes", "threads", "device", "quick", "seed", "time_limit"),
    *("command_format", "command_precision"),
)
OF_SCENARIOS = ("rate", "latency_bound", "duration")
NOT_OF_SCENARIOS = ("works", "gate", "self_test", "engines", "quick", "seed", "time_limit", "resume", *OF_PLACES)
OF_GATES = ("junit_path", "annotate")
SPELLED = {
    "junit_path": "junit",
    "runtimes": "runtime",
    "engines": "engine",
    "batch_sizes": "batch-size",
    "places": "host",
    "commands": "command",
    "command_format": "format",
    "command_precision": "precision",
}
HIGHEST_RATE = 1_000_000


@click.command(
    epilog="""\b
Examples:
  # every runtime at batch 1 and 128, in minutes
  mnist-bench bench --quick
  # one runtime, 12 blocks
  mnist-bench bench --run mnist-relu --runtime onnxruntime
  # the training engines
  mnist-bench bench --training
  # continue after Ctrl-C
  mnist-bench bench --resume
  # has the new installation become slower?
  mnist-bench bench --gate --baseline ~/old/venv/bin/python
  # against the run `main`, for a CI system
  mnist-bench bench --gate --baseline main --junit gate.xml
  # your own program, in the same blocks
  mnist-bench bench --host here --command './engine {model}'
  # MLPerf LoadGen, 2,000 queries a second
  mnist-bench bench --scenario server --rate 2000
"""
)
@_options.run_name
@_options.out
@click.option(
    "--inference",
    "works",
    flag_value="inference",
    default="inference",
    help="Measure the latency of the runtimes (the default).",
)
@click.option("--training", "works", flag_value="training", help="Measure the training engines, in samples a second.")
@click.option("--all", "works", flag_value="all", help="Measure both.")
@click.option("--gate", is_flag=True, help="Compare with --baseline in the same blocks; exit code 1 if slower.")
@click.option(
    "--self-test", is_flag=True, help="Compare a target with itself (A/A): how small a slow-down can be detected here?"
)
@click.option("--scenario", type=click.Choice(list(SCENARIOS)), help="Generate the load with MLPerf LoadGen.")
@click.option(
    "--baseline", metavar="REF", help="What to compare with: a run, a runtime, or the Python of another installation."
)
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="Only this runtime. Repeatable.")
@click.option("--engine", "engines", multiple=True, metavar="NAME", help="Only this training engine. Repeatable.")
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda or cuda:N.")
@click.option(
    "--batch-size",
    "batch_sizes",
    callback=_options.numbers,
    metavar="N,…",
    help="Batch sizes.  [default: 1,32,128,1024; with --quick, --gate or --self-test 1,128; with --training the run's]",
)
@click.option(
    "--threads", callback=_options.numbers, metavar="N,…", help="CPU threads.  [default: 1,all; with --training all]"
)
@click.option("--quick", is_flag=True, help="6 blocks instead of 12 (--gate and --self-test always take 20).")
@click.option(
    "--seed",
    type=click.IntRange(0, _options.LARGEST_SEED - 1),
    default=0,
    show_default=True,
    metavar="N",
    help="Of the random order within the blocks.",
)
@_options.time_limit(180)
@click.option(
    "--rate",
    type=_options.Finite(0, HIGHEST_RATE, min_open=True),
    metavar="N",
    help="Queries a second, for the server scenario.",
)
@click.option(
    "--latency-bound",
    type=_options.Finite(0, min_open=True),
    default=10,
    show_default=True,
    metavar="MS",
    help="Milliseconds within which 99% of queries must be answered, for the server scenario.",
)
@click.option(
    "--duration",
    type=_options.Finite(0, _options.LONGEST_S, min_open=True),
    default=10,
    show_default=True,
    metavar="S",
    help="Seconds that a scenario lasts.",
)
@click.option("--resume", is_flag=True, help="Continue a benchmark that was stopped.")
@click.option("--allow-busy", is_flag=True, help="Measure even if the machine is busy with something else.")
@_options.engine_command
@click.option(
    "--precision",
    "command_precision",
    type=click.Choice(_options.PRECISIONS),
    default="fp32",
    show_default=True,
    help="Precision of the file that a --command opens.",
)
@_options.data_dir
@_options.json_output
@_options.junit
@_options.annotate
@_options.quiet
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Measure latency and training speed, with exact intervals.

    Every target runs in a fresh process in each of several blocks, in random order. Rows report the median, its 95% CI,
    p90 and p99, and the share of hardware peak. A configuration is timed only if it first answers all test images
    correctly.
    """
    from mnist_bench import store
    from mnist_bench.cli import _bench
    from mnist_bench.cli._output import check_json_path
    from mnist_bench.stages import benching

    asked = requests.Bench(**given)
    _check_mixtures(asked, _options.typed(context))
    check_json_path(asked.json_path)
    if asked.gate:
        check_json_path(asked.junit_path)
        _bench.gate(asked)
        return
    folder = _bench.find_folder(asked)
    with store.locked(folder):
        subject = benching.subject_in(folder, asked)
        if asked.scenario:
            _bench.load(subject, asked)
        elif asked.self_test:
            _bench.self_test(subject, asked)
        else:
            _bench.measure(subject, asked)


def _check_mixtures(asked: requests.Bench, typed: frozenset[str]) -> None:
    """Refuse options that do not go together: none is ignored in silence."""
    if not asked.gate and (other := _first(OF_GATES, typed)):
        raise click.UsageError(f"--{other} is of a --gate: nothing else of bench passes or fails")
    if asked.resume and (planned := _first(PLANNED, typed)):
        raise click.UsageError(f"--resume goes on with the saved plan, so --{planned} cannot be given with it")
    if asked.scenario and (other := _first(NOT_OF_SCENARIOS, typed)):
        raise click.UsageError(f"--{asked.works if other == 'works' else other} is not of a --scenario")
    if not asked.scenario and (other := _first(OF_SCENARIOS, typed)):
        raise click.UsageError(f"--{other} is of a --scenario: give one of {', '.join(SCENARIOS)}")
    if asked.scenario == "server" and not asked.rate:
        raise click.UsageError("the server scenario needs a --rate, in queries a second")
    if asked.scenario in ("single-stream", "offline") and (other := _first(("rate", "latency_bound"), typed)):
        raise click.UsageError(f"--{other} is of the server scenario")
    _check_modes(asked)


def _first(names: tuple[str, ...], typed: frozenset[str]) -> str | None:
    """Return how the first of some options that was typed is spelled."""
    return next((SPELLED.get(name, name.replace("_", "-")) for name in names if name in typed), None)


def _check_modes(asked: requests.Bench) -> None:
    if asked.gate and asked.self_test:
        raise click.UsageError("--gate and --self-test are two things: give one of them")
    if asked.gate != bool(asked.baseline) and not asked.resume:
        raise click.UsageError("--gate and --baseline belong together: give both")
    mode = "gate" if asked.gate else "self-test"
    if (asked.gate or asked.self_test) and asked.works != "inference":
        raise click.UsageError(f"--{mode} is of inference: give it without --{asked.works}")
    if asked.engines and asked.works == "inference":
        raise click.UsageError("--engine is of training: give --training or --all with it")
    if asked.runtimes and asked.works == "training":
        raise click.UsageError("--runtime is of inference: name training engines with --engine")
