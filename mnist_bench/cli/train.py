"""`mnist-bench train`."""

import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_bench.cli import _options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mnist_bench.core.types import Record, TrainConfig
    from mnist_bench.data import Dataset
    from mnist_bench.training import Group

SEVERAL = "distributed"
"""The engine of several processes."""

FIXED_ON_RESUME = (
    "engine",
    "dataset",
    "validation",
    "activation",
    "device",
    "threads",
    "batch_size",
    "learning_rate",
    "seed",
)


@click.command(
    epilog="""\b
Examples:
  mnist-bench train --dataset digits                  offline, in seconds
  mnist-bench train --activation both                 ReLU and Sigmoid, compared
  mnist-bench train --run mine --epochs 30 --resume   go on, or for longer
  mnist-bench train --json - | python -m json.tool    the record, for a program
"""
)
@_options.dataset
@_options.data_dir
@_options.validation
@click.option("--activation", type=click.Choice(["relu", "sigmoid", "both"]), default="relu", show_default=True)
@_options.training_device
@click.option("--engine", metavar="NAME", help="How steps are executed.  [default: the fastest on the device]")
@_options.epochs
@_options.batch_size
@_options.learning_rate
@click.option("--seed", type=click.IntRange(min=0, max=2**63 - 1), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: all cores]")
@click.option("--run", "name", metavar="NAME", help="Name of the run.  [default: DATASET-ACTIVATION]")
@_options.out
@click.option("--resume", is_flag=True, help="Go on where a run stopped; start it where there is none.")
@click.option("--overwrite", is_flag=True, help="Replace a run of the same name.")
@click.option(
    "--require-accuracy", type=_options.Finite(0, 1), metavar="SHARE", help="Exit 1 below this test accuracy."
)
@_options.convergence_at
@_options.json_output
@_options.quiet
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Train 784-512-256-10 and show accuracy, overfitting, convergence and errors.

    The protocol: Adam 1e-3, cross-entropy, dropout 0.2, batch 128, 15 epochs. Every epoch is saved; Ctrl-C finishes
    the step, saves and exits 130, SIGTERM likewise with 143, and --resume goes on with the very next image.
    """
    from mnist_bench import training
    from mnist_bench.cli._output import check_json_path

    if given["resume"] and given["overwrite"]:
        raise click.UsageError("--resume and --overwrite exclude each other", context)
    check_json_path(given["json_path"])
    explicit = {name for name in given if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT}
    activations = ("relu", "sigmoid") if given["activation"] == "both" else (given["activation"],)
    with training.process_group() as group:
        for activation in activations:  # all that can be refused is refused before anything is trained
            group.together(partial(_prepare, activation, given, explicit))
        records = [_train_one(activation, given, explicit, group) for activation in activations]
        group.together(lambda: _conclude(records, given) if group.leads else None)


def _conclude(records: "Sequence[Record]", given: dict[str, Any]) -> None:
    _show(records, given)
    _require_accuracy(records, given["require_accuracy"])


def _prepare(activation: str, given: dict[str, Any], explicit: set[str]) -> "tuple[Path, Record | None, TrainConfig]":
    """Return a run's folder, its saved record where it is to be resumed, and its configuration; or refuse."""
    from mnist_bench import store

    folder = store.run_folder(given["out"], _run_name(activation, given))
    if not (given["resume"] or given["overwrite"]):
        store.refuse_existing(folder)
    saved = store.load_record(folder) if given["resume"] and store.exists(folder) else None
    return folder, saved, _resumed(saved, activation, given, explicit) if saved else _config(activation, given)


def _train_one(activation: str, given: dict[str, Any], explicit: set[str], group: "Group") -> "Record":
    """Train one network; of several processes the first alone reads and writes its folder."""
    from mnist_bench import data, store, training
    from mnist_bench.cli._progress import training_display
    from mnist_bench.cli._signals import stop_on_signal
    from mnist_bench.core.types import Record

    folder, _, config = _prepare(activation, given, explicit)
    dataset = group.together(lambda: data.load(config.dataset, given["data_dir"]))
    quiet = given["quiet"] or not group.leads
    with contextlib.ExitStack() as stack:
        group.together(lambda: stack.enter_context(store.locked(folder)) if group.leads else None)
        observer = stack.enter_context(training_display(quiet))
        stop = stack.enter_context(stop_on_signal())
        record = group.first(lambda: _begun(activation, given, explicit, dataset), Record)
        return training.train(record, dataset, folder, observer, stop, group)


def _begun(activation: str, given: dict[str, Any], explicit: set[str], dataset: "Dataset") -> "Record":
    """Return the record to train; asked once more, now that nobody else can write the run."""
    from mnist_bench import training

    folder, saved, config = _prepare(activation, given, explicit)
    return _going_on(saved, config) if saved else training.new_record(folder.name, config, dataset)


def _run_name(activation: str, given: dict[str, Any]) -> str:
    if given["name"] is None:
        return f"{given['dataset']}-{activation}"
    return f"{given['name']}-{activation}" if given["activation"] == "both" else str(given["name"])


def _config(activation: str, given: dict[str, Any]) -> "TrainConfig":
    """Turn options into a configuration for this machine."""
    from mnist_bench import data, environment, training
    from mnist_bench.core import torchrun
    from mnist_bench.core.errors import BadInput
    from mnist_bench.core.types import TrainConfig

    cores, place = environment.available_cores(), torchrun.place()
    threads = given["threads"] or max(cores // place.local_size, 1)
    if threads > cores:
        raise BadInput(f"--threads {threads} is more than the {cores} cores that this process may use")
    if given["dataset"] not in data.names():
        raise BadInput(f"no dataset {given['dataset']!r}: choose from {', '.join(data.names())}")
    device = environment.resolve_device(given["device"])
    engine = given["engine"] or (SEVERAL if place.size > 1 else training.default_engine(device))
    if place.size > 1 and engine != SEVERAL:
        raise BadInput(f"engine {engine!r} trains in one process, not in {place.size}: leave --engine out")
    training.usable_engine(engine, device)
    fields = ("dataset", "validation", "epochs", "batch_size", "learning_rate", "seed")
    return TrainConfig(
        activation=activation,  # type: ignore[arg-type]
        engine=engine,
        device=device,
        threads=threads,
        processes=place.size,
        **{name: given[name] for name in fields},
    )


def _resumed(saved: "Record", activation: str, given: dict[str, Any], explicit: set[str]) -> "TrainConfig":
    """Return the saved configuration, with more epochs where asked for; refuse any other change."""
    from msgspec.structs import replace

    from mnist_bench import environment
    from mnist_bench.core import torchrun
    from mnist_bench.core.errors import BadInput

    wanted = given | {"activation": activation}
    if "device" in explicit:
        wanted["device"] = environment.resolve_device(given["device"])
    changed = [name for name in FIXED_ON_RESUME if name in explicit and wanted[name] != getattr(saved.config, name)]
    if changed:
        facts = ", ".join(f"{name} was {getattr(saved.config, name)}, not {wanted[name]}" for name in changed)
        raise BadInput(
            f"run {saved.name!r} cannot be resumed with other settings ({facts}): omit them, or use another --run"
        )
    if (here := torchrun.place().size) != saved.config.processes:
        raise BadInput(
            f"run {saved.name!r} is trained by {saved.config.processes} process(es), not by {here}: "
            f"start as many with torchrun --nproc-per-node, or use another --run"
        )
    epochs = given["epochs"] if "epochs" in explicit else saved.config.epochs
    begun = len(saved.epochs) + bool(saved.checkpoint and saved.checkpoint.partial)
    if epochs < begun:
        raise BadInput(f"run {saved.name!r} has begun epoch {begun} already, more than --epochs {epochs}")
    if saved.final is None or epochs > len(saved.epochs):
        environment.resolve_device(saved.config.device)  # raises where it is not here
    return replace(saved.config, epochs=epochs)


def _going_on(saved: "Record", config: "TrainConfig") -> "Record":
    """Return the record to go on with; a finished one as it is."""
    from msgspec.structs import replace

    from mnist_bench import environment

    if saved.final is not None and config == saved.config:
        return saved
    return replace(saved, config=config, resumed_at=(*saved.resumed_at, environment.now()))


def _show(records: "Sequence[Record]", given: dict[str, Any]) -> None:
    """Print the tables, or the record, or both, as asked for."""
    from mnist_bench import report, store
    from mnist_bench.cli._output import print_tables, say, write_json

    if not given["quiet"] and given["json_path"] != Path("-"):
        print_tables("rich", report.tables(records, report.ViewOptions(given["convergence_at"])))
        names = " ".join(f"--run {record.name}" for record in records)
        place = "" if given["out"] == store.DEFAULT_OUT else f" --out {given['out']}"
        say(f"Saved in {given['out']}. These tables again: mnist-bench report {names}{place}\n")
    if given["json_path"]:
        write_json(records, given["json_path"])


def _require_accuracy(records: "Sequence[Record]", required: float | None) -> None:
    from mnist_bench.core.errors import AccuracyTooLow

    for record in records:
        if required is not None and record.final and not record.final.test.accuracy >= required:
            raise AccuracyTooLow(
                f"run {record.name!r} reached {record.final.test.accuracy:.2%} on the test set, less than the "
                f"{required:.2%} required: train for more --epochs, or look at its tables with report"
            )
