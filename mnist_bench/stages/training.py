"""From options to a training: what is asked for, what is refused, and the training itself."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from mnist_bench import data, environment, store, tracking, training
from mnist_bench.core import torchrun
from mnist_bench.core.architecture import CLASSES
from mnist_bench.core.dataset_names import in_a_run
from mnist_bench.core.errors import BadInput
from mnist_bench.core.events import Event, OnEvent, Stop
from mnist_bench.core.kinds import Activation
from mnist_bench.core.types import Record, TrainConfig
from mnist_bench.stages.requests import Train, changed

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


@dataclass(frozen=True)
class Audience:
    """Who hears of a training: `say` takes what is good to know, `warn` what went wrong beside it.

    `display` opens what shows its events, and `stopping` what tells it when to stop.
    """

    say: Callable[[str], None]
    warn: Callable[[str], None]
    display: Callable[[], AbstractContextManager[OnEvent]]
    stopping: Callable[[], AbstractContextManager[Stop]]


def prepare(
    activation: Activation, asked: Train, dataset: data.Dataset | None = None
) -> tuple[Path, Record | None, TrainConfig]:
    """Return a run's folder, its saved record where it is to be resumed, and its configuration; or refuse.

    The engine that is chosen depends on the dataset: without it this is no more than a first look.
    """
    folder = store.run_folder(asked.out, _run_name(activation, asked))
    if not (asked.resume or asked.overwrite):
        store.check_new(folder)
    saved = store.load_record(folder) if asked.resume and store.exists(folder) else None
    if saved and saved.imported:
        raise BadInput(f"run {saved.name!r} was imported, so there is no training to go on with: use another --run")
    return folder, saved, _resumed(saved, activation, asked) if saved else _config(activation, asked, dataset)


def train_one(activation: Activation, asked: Train, group: training.Group, audience: Audience) -> Record:
    """Train one network; of several processes the first alone reads and writes its folder."""
    folder, _, config = prepare(activation, asked)
    dataset = group.together(lambda: data.load(config.dataset, asked.data_dir, outputs=CLASSES))
    for remark in dataset.remarks:
        audience.say(remark)
    with contextlib.ExitStack() as stack:
        group.together(lambda: stack.enter_context(store.locked(folder)) if group.leads else None)
        shown = stack.enter_context(audience.display())
        stop = stack.enter_context(audience.stopping())
        record = group.first(lambda: _begun(activation, asked, dataset), Record)
        for line in passed_over(record.name, record.passed_over):
            audience.say(line)
        names = asked.trackers if group.leads else ()
        trackers = stack.enter_context(tracking.track(names, folder, audience.warn))

        listeners = (shown, *(tracker.on_event for tracker in trackers))

        def on_event(event: Event) -> None:
            for listener in listeners:
                listener(event)

        return training.train(record, dataset, folder, on_event, stop, group)


def passed_over(name: str, reasons: Sequence[str]) -> Iterator[str]:
    """Say why faster engines cannot be used."""
    for reason in reasons:
        yield f"{name}: not trained by a faster engine, {reason}"


def _begun(activation: Activation, asked: Train, dataset: data.Dataset) -> Record:
    """Return the record to train; asked once more, now that nobody else can write the run."""
    folder, saved, config = prepare(activation, asked, dataset)
    if saved:
        return _going_on(saved, config)
    chosen = not asked.engine and config.engine != SEVERAL
    passed_over = training.default_engine(config.device, dataset).passed_over if chosen else ()
    return training.new_record(folder.name, config, dataset, passed_over)


def _run_name(activation: Activation, asked: Train) -> str:
    if asked.name is None:
        return f"{in_a_run(asked.dataset)}-{activation}"
    return f"{asked.name}-{activation}" if asked.activation == "both" else asked.name


def _config(activation: Activation, asked: Train, dataset: data.Dataset | None) -> TrainConfig:
    """Turn options into a configuration for this machine."""
    cores, place = environment.available_cores(), torchrun.place()
    # torchrun tells every process of several to use one thread.
    usual = environment.default_threads() if place.local_size == 1 else max(cores // place.local_size, 1)
    threads = asked.threads or usual
    if threads > cores:
        raise BadInput(f"--threads {threads} is more than the {cores} cores that this process may use")
    data.check_name(asked.dataset)
    device = environment.resolve_device(asked.device)
    engine = asked.engine or (SEVERAL if place.size > 1 else training.default_engine(device, dataset).engine)
    if place.size > 1 and engine != SEVERAL:
        raise BadInput(f"engine {engine!r} trains in one process, not in {place.size}: leave --engine out")
    training.usable_engine(engine, device)
    return TrainConfig(
        dataset=asked.dataset,
        validation=asked.validation,
        activation=activation,
        engine=engine,
        device=device,
        threads=threads,
        processes=place.size,
        epochs=asked.epochs,
        batch_size=asked.batch_size,
        learning_rate=asked.learning_rate,
        seed=asked.seed,
    )


def _resumed(saved: Record, activation: Activation, asked: Train) -> TrainConfig:
    """Return the saved configuration, with more epochs where asked for; refuse any other change."""
    device = environment.resolve_device(asked.device) if "device" in asked.typed else asked.device
    wanted = dataclasses.replace(asked, activation=activation, device=device)
    if facts := changed(saved.config, wanted, FIXED_ON_RESUME, asked):
        raise BadInput(
            f"run {saved.name!r} cannot be resumed with other settings ({facts}): omit them, or use another --run"
        )
    if (here := torchrun.place().size) != saved.config.processes:
        raise BadInput(
            f"run {saved.name!r} is trained by {saved.config.processes} process(es), not by {here}: "
            f"start as many with torchrun --nproc-per-node, or use another --run"
        )
    if saved.config.threads > (cores := environment.available_cores()):
        raise BadInput(
            f"run {saved.name!r} is trained with {saved.config.threads} threads, and this process may use {cores} "
            f"cores: go on where there are as many, or use another --run"
        )
    epochs = asked.epochs if "epochs" in asked.typed else saved.config.epochs
    begun = len(saved.epochs) + bool(saved.checkpoint and saved.checkpoint.partial)
    if epochs < begun:
        raise BadInput(f"run {saved.name!r} has begun epoch {begun} already, more than --epochs {epochs}")
    if saved.final is None or epochs > len(saved.epochs):
        environment.resolve_device(saved.config.device)  # raises where it is not here
    return replace(saved.config, epochs=epochs)


def _going_on(saved: Record, config: TrainConfig) -> Record:
    """Return the record to go on with; a finished one as it is."""
    if saved.final is not None and config == saved.config:
        return saved
    final = saved.final if config == saved.config else None
    return replace(saved, config=config, final=final, resumed_at=(*saved.resumed_at, environment.now()))
