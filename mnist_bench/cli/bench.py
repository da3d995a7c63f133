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
  mnist-bench bench --quick                                     all runtimes at batch 1 and 128, in minutes
  mnist-bench bench --run mnist-relu --runtime onnxruntime      one runtime, 12 blocks
  mnist-bench bench --training                                  the training engines
  mnist-bench bench --resume                                    go on where Ctrl-C stopped
  mnist-bench bench --gate --baseline ~/old/venv/bin/python     has the new installation become slower?
  mnist-bench bench --gate --baseline main --junit gate.xml     against the run `main`, for a CI system
  mnist-bench bench --host here --command './engine {model}'    a program of yours, beside the others
  mnist-bench bench --scenario server --rate 2000               MLPerf LoadGen, 2,000 queries a second
"""
)
@_options.run_name
@_options.out
@click.option("--inference", "works", flag_value="inference", default="inference", help="Latency of the runtimes.")
@click.option("--training", "works", flag_value="training", help="Samples a second of the training engines.")
@click.option("--all", "works", flag_value="all", help="Both.")
@click.option("--gate", is_flag=True, help="Against --baseline, in the same blocks: exit code 1 if slower.")
@click.option("--self-test", is_flag=True, help="What can this machine tell apart? An A/A run.")
@click.option("--scenario", type=click.Choice(list(SCENARIOS)), help="Load by MLPerf LoadGen.")
@click.option("--baseline", metavar="REF", help="Another run, a runtime, or a command that starts another Python.")
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="Only this one; can be repeated.")
@click.option("--engine", "engines", multiple=True, metavar="NAME", help="Only this training engine; can be repeated.")
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda or cuda:N.")
@click.option(
    "--batch-size",
    "batch_sizes",
    callback=_options.numbers,
    metavar="N,…",
    help="[default: 1,32,128,1024; quick, gate and self-test 1,128; training: the run's]",
)
@click.option("--threads", callback=_options.numbers, metavar="N,…", help="[default: 1,all; training: all]")
@click.option("--quick", is_flag=True, help="6 blocks instead of 12; 20 for a gate and a self-test, always.")
@click.option(
    "--seed",
    type=click.IntRange(0, _options.LARGEST_SEED - 1),
    default=0,
    show_default=True,
    help="Of the order within the blocks.",
)
@_options.time_limit(180)
@click.option(
    "--rate",
    type=_options.Finite(0, HIGHEST_RATE, min_open=True),
    metavar="N",
    help="Queries a second; for the server scenario.",
)
@click.option(
    "--latency-bound",
    type=_options.Finite(0, min_open=True),
    default=10,
    show_default=True,
    help="Milliseconds for 99% of the queries; for the server scenario.",
)
@click.option(
    "--duration",
    type=_options.Finite(0, _options.LONGEST_S, min_open=True),
    default=10,
    show_default=True,
    help="Seconds of a scenario.",
)
@click.option("--resume", is_flag=True, help="Go on with the blocks that the saved benchmark lacks.")
@click.option("--allow-busy", is_flag=True, help="Measure although others use this machine.")
@_options.engine_command
@click.option(
    "--precision",
    "command_precision",
    type=click.Choice(_options.PRECISIONS),
    default="fp32",
    show_default=True,
    help="Of the run's file that a --command opens.",
)
@_options.data_dir
@_options.json_output
@_options.junit
@_options.annotate
@_options.quiet
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Measure inference latency and training throughput, with statistics that hold.

    Every number is from fresh processes in interleaved blocks, with an exact interval, beside the machine's own limit.
    Every configuration answers all test images first, and is timed only if the answers are right.
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
