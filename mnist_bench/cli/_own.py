"""From options to the training of a network of the user's own."""

from mnist_bench import data, environment, importing, store
from mnist_bench.cli._progress import training_display
from mnist_bench.cli._signals import stop_on_signal
from mnist_bench.core import torchrun
from mnist_bench.core.errors import BadInput
from mnist_bench.core.types import Record, TrainConfig
from mnist_bench.stages.requests import Train

ENGINE = "eager"
NOT_OF_OWN = {
    "activation": "it has its own",
    "resume": "it is trained in one go",
    "trackers": "they follow the specified network alone",
}


def train(asked: Train) -> Record:
    """Train it, and keep it as a run that has its graph."""
    assert asked.network
    _check(asked)
    folder = store.run_folder(asked.out, asked.name or f"{asked.dataset}-own")
    if not asked.overwrite:
        store.check_new(folder, resumable=False)
    dataset = data.load(asked.dataset, asked.data_dir)
    config = _config(asked, dataset.name)
    network = importing.build(asked.network, config, dataset)
    with store.locked(folder), training_display(asked.quiet) as on_event, stop_on_signal() as stop:
        return importing.train(network, asked.network, config, dataset, folder, on_event, stop)


def _check(asked: Train) -> None:
    """Raise BadInput where an option was given that only the specified network has."""
    for name, reason in NOT_OF_OWN.items():
        if name in asked.typed and getattr(asked, name):
            option = {"trackers": "track"}.get(name, name)
            raise BadInput(f"--{option} cannot be used with a --network of your own: {reason}")
    if asked.engine not in (None, ENGINE):
        raise BadInput(
            f"engine {asked.engine!r} trains the specified network alone: a --network is trained by {ENGINE}"
        )
    if torchrun.is_distributed():
        raise BadInput("a --network of your own is trained in one process: run it without torchrun")


def _config(asked: Train, dataset: str) -> TrainConfig:
    return TrainConfig(
        dataset=dataset,
        validation=asked.validation,
        engine=ENGINE,
        device=environment.resolve_device(asked.device),
        threads=asked.threads or environment.default_threads(),
        epochs=asked.epochs,
        batch_size=asked.batch_size,
        learning_rate=asked.learning_rate,
        dropout=0.0,
        seed=asked.seed,
    )
