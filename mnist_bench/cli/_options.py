"""Options that mean the same in every command."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

import mnist_bench
from mnist_bench.core import plugins
from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import DEFAULT_CONVERGENCE_AT, DEFAULT_OUT, LARGEST_BATCH, Precision
from mnist_bench.stages.datasets import resolved

# torch takes seeds below 2^63; a day is longer than any worker that is not stuck.
MOST_SEEDS, LARGEST_SEED, LONGEST_S = 10_000, 2**63, 86_400
MOST_MIB = 2**24
PRECISIONS = get_args(Precision)


def listed(folder: str) -> str:
    """Name the plug-ins in a folder of the package: whoever adds one need not add it to the help."""
    return ", ".join(plugins.names_in([str(Path(mnist_bench.__file__).parent / folder)]))


DATASETS = listed("data/sets").split(", ")


class Finite(click.FloatRange):
    """A number in a range; "nan", which is in every range, is refused."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """Parse the number."""
        number: float = super().convert(value, parameter, context)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", parameter, context)
        return number


def _existing_if_typed(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Refuse a folder that was typed and is not there; one from the environment matters only where it is used."""
    typed = context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
    if typed and value and not value.is_dir():
        raise click.BadParameter(f"folder {str(value)!r} does not exist.", context, parameter)
    return value


def not_empty(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse an empty name, as of a script's variable that was never set: it does not mean the newest."""
    if value == "":
        raise click.BadParameter("it is empty", context, parameter)
    return value


def numbers(_context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, ...]:
    """Parse `1,7,128`; `all` stands for every core of this machine; nothing, for what the command chooses."""
    if text is None:
        return ()
    from mnist_bench import environment

    cores = environment.available_cores()
    words = {"all": cores} if parameter.name == "threads" else {}
    try:
        found = [words[word] if word in words else int(word) for word in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a list of numbers such as 1,128") from error
    if min(found) < 1:
        raise click.BadParameter(f"{min(found)} is not positive")
    if words and max(found) > cores:
        raise click.BadParameter(f"{max(found)} is more than the {cores} cores that this process may use")
    if max(found) > LARGEST_BATCH:
        raise click.BadParameter(f"{max(found)} is more than {LARGEST_BATCH:,}")
    return tuple(dict.fromkeys(found))


def seeds(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[int, ...]:
    """Parse `32`, which stands for 0 … 31, or a list such as `3,7,11`; nothing, for what the command chooses."""
    if text is None:
        return ()
    try:
        found = [int(word) for word in text.split(",") if word or "," not in text]
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is neither a number of seeds nor a list such as 3,7,11") from error
    if "," not in text:
        if not 1 <= found[0] <= MOST_SEEDS:
            raise click.BadParameter(f"{found[0]} is not a number of seeds from 1 to {MOST_SEEDS:,}")
        return tuple(range(found[0]))
    if twice := [seed for place, seed in enumerate(found) if seed in found[:place]]:
        raise click.BadParameter(f"seed {twice[0]} is there more than once")
    if not found or min(found) < 0 or max(found) >= LARGEST_SEED:
        raise click.BadParameter(f"{text!r} has a seed that is not in [0, 2^63)")
    return tuple(found)


out = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_OUT,
    show_default=True,
    help="Folder that holds the runs.",
)
run_name = click.option("--run", "name", metavar="NAME", callback=not_empty, help="Which run.  [default: the newest]")


def known_or_folder(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Turn the path of a folder into an absolute one, which a record can name; other names stay as they are."""
    try:
        return None if value is None else resolved(value, DATASETS)
    except BadInput as error:
        raise click.BadParameter(str(error), context, parameter) from error


data_dir = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    envvar="MNIST_BENCH_DATA",
    show_envvar=True,
    callback=_existing_if_typed,
    help="Look here first for the dataset's files: in DIR, DIR/raw or DIR/MNIST/raw. May be read-only.",
)
dataset = click.option(
    "--dataset",
    default="mnist",
    show_default=True,
    metavar="NAME|DIR",
    callback=known_or_folder,
    help=f"{', '.join(DATASETS)}; or your own folder with PNGs of 28 × 28 pixels or four IDX files (docs/data.md).",
)
validation = click.option(
    "--validation",
    type=click.Choice(["test", "holdout"]),
    default="test",
    show_default=True,
    help="What to evaluate on after each epoch: the test set, or 5,000 held-out training images.",
)
training_device = click.option(
    "--device", default="auto", show_default=True, metavar="NAME", help="auto, cpu, cuda or cuda:N."
)
engine = click.option(
    "--engine", metavar="NAME", help="How training steps are executed.  [default: the fastest on the device]"
)
epochs = click.option(
    "--epochs",
    type=click.IntRange(1, 100_000),
    default=15,
    show_default=True,
    metavar="N",
    help="Passes over the data.",
)
batch_size = click.option(
    "--batch-size",
    type=click.IntRange(1, LARGEST_BATCH),
    default=128,
    show_default=True,
    metavar="N",
    help="Images per step.",
)
learning_rate = click.option(
    "--lr",
    "learning_rate",
    type=Finite(min=0, min_open=True),
    default=1e-3,
    show_default=True,
    metavar="RATE",
    help="Learning rate of Adam.",
)
convergence_at = click.option(
    "--convergence-at",
    type=Finite(0, 1, min_open=True),
    default=DEFAULT_CONVERGENCE_AT,
    show_default=True,
    help="Validation accuracy at which training counts as converged.",
)
quiet = click.option(
    "--quiet",
    "-q",
    count=True,
    type=click.IntRange(0),
    metavar="",
    help="Print the result alone, in one line; -qq prints nothing but errors.",
)
json_output = click.option(
    "--json",
    "json_path",
    metavar="FILE|-",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write the record as JSON to a file, or with '-' to stdout and nothing else there.",
)
junit = click.option(
    "--junit",
    "junit_path",
    metavar="FILE|-",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write what passed, failed and was skipped as JUnit XML, for a CI system; see docs/ci.md.",
)
annotate = click.option(
    "--annotate",
    type=click.Choice(["auto", "github", "none"]),
    default="auto",
    show_default=True,
    help="Annotate a pull request and write the job's summary; auto: where GITHUB_ACTIONS is true.",
)
renderer = click.option(
    "--format",
    "renderer",
    default="rich",
    show_default=True,
    metavar="NAME",
    help=f"Output format: {listed('report/renderers')}.",
)


def time_limit(default: float | None, shown: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option that says how long a worker may take in all; `shown` is what None means."""
    return click.option(
        "--time-limit",
        type=Finite(0, LONGEST_S, min_open=True),
        default=default,
        show_default=True if default else shown,
        help="Seconds after which a process is stopped.",
    )


memory_limit = click.option(
    "--memory-limit",
    type=click.IntRange(1, MOST_MIB),
    metavar="MIB",
    show_default="what is free; 4096 for a --model",
    help="Most memory a process may allocate, in MiB.",
)


def processors(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """Parse names of processors, one or several at a time."""
    names = [word.strip() for text in given for word in text.split(",")]
    if not all(names):
        raise click.BadParameter("a name is empty: write them as haswell,cortex-a53")
    return tuple(dict.fromkeys(names))


def engine_command(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name a program which speaks the protocol, and what it opens."""
    for option in (
        click.option(
            "--format",
            "command_format",
            default="onnx",
            show_default=True,
            metavar="NAME",
            help="Which of the run's files a --command opens.",
        ),
        click.option(
            "--host",
            "places",
            multiple=True,
            metavar="NAME",
            help="Where to run: here, node, browser, cpp, or an emulated processor such as haswell. Repeatable.  "
            "[default: here; if no --runtime is given, also every other host that is installed]",
        ),
        click.option(
            "--command",
            "commands",
            multiple=True,
            metavar="CMD",
            help="A program that speaks the protocol (docs/protocol.md); {model} stands for the file. With --host or "
            "--runtime, those take part too. Repeatable.",
        ),
    ):
        command = option(command)
    return command


def of_training(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what to train, and how: the same in every command that trains a network."""
    added = (
        dataset,
        data_dir,
        validation,
        click.option(
            "--activation",
            type=click.Choice(["relu", "sigmoid", "both"]),
            default="relu",
            show_default=True,
            help="Activation of the hidden layers.",
        ),
        training_device,
        engine,
        epochs,
        batch_size,
        learning_rate,
        click.option(
            "--seed",
            type=click.IntRange(0, LARGEST_SEED - 1),
            default=0,
            show_default=True,
            metavar="N",
            help="Of weights, order of images and dropout.",
        ),
        click.option(
            "--threads",
            type=click.IntRange(min=1),
            metavar="N",
            help="CPU threads.  [default: OMP_NUM_THREADS, or all cores]",
        ),
        click.option("--run", "name", metavar="NAME", help="Name of the run.  [default: DATASET-ACTIVATION]"),
        out,
    )
    for option in reversed(added):
        command = option(command)
    return command


def typed(context: click.Context) -> frozenset[str]:
    """Return the names of the options that were given, in whatever way."""
    default = click.core.ParameterSource.DEFAULT
    return frozenset(name for name in context.params if context.get_parameter_source(name) is not default)
