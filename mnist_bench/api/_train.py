"""Training."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

from mnist_bench import store, tracking, training
from mnist_bench.api._progress import events, told, warn
from mnist_bench.api._runs import Run
from mnist_bench.api._stopping import ending_as_ctrl_c, stopping
from mnist_bench.core import torchrun
from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import DEFAULT_CONVERGENCE_AT, DEFAULT_OUT, LARGEST_BATCH, Activation, Validation
from mnist_bench.core.types import TrainConfig
from mnist_bench.stages.options import Place, Words, data_folder, dataset_name, one_of, positive, whole, words
from mnist_bench.stages.options import threads as counted
from mnist_bench.stages.requests import Train
from mnist_bench.stages.training import Audience, prepare, train_one

USUAL = TrainConfig()
MOST_EPOCHS, LARGEST_SEED = 100_000, 2**63 - 1


def train(
    dataset: Place | None = None,
    *,
    activation: Activation | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    validation: Validation | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    device: str | None = None,
    engine: str | None = None,
    threads: int | None = None,
    name: str | None = None,
    out: Place = DEFAULT_OUT,
    data_dir: Place | None = None,
    resume: bool = False,
    overwrite: bool = False,
    trackers: Words = (),
    progress: bool = True,
) -> Run:
    """Train 784-512-256-10 into a run folder, as `mnist-bench train` does.

    What is None is the protocol's (15 epochs, batches of 128, Adam at 1e-3, seed 0, validation on the test set), or
    of a run that is resumed, its own.

    Args:
        dataset: `mnist` (where it is None), `fashion`, `kmnist` or `digits`; or a folder of your own images.
        activation: `relu` (where it is None) or `sigmoid`.
        epochs: how many in all.
        seed: of the weights, the order of the images and dropout.
        validation: what is watched each epoch: the `test` set, or a `holdout` of 5,000 training images.
        batch_size: images a step.
        learning_rate: of Adam.
        device: `auto` (where it is None), `cpu`, `cuda` or `cuda:N`.
        engine: how steps are executed; where it is None, the fastest on the device.
        threads: CPU threads; where it is None, OMP_NUM_THREADS, or all cores.
        name: the run's; where it is None, `DATASET-ACTIVATION`.
        out: the folder of the run folders.
        data_dir: where to look first for the dataset; MNIST_BENCH_DATA's where it is None.
        resume: go on where the run stopped; a finished one is returned as it is, and one that is not there begins.
        overwrite: replace a run of the same name.
        trackers: `tensorboard`, `mlflow`: log to these too.
        progress: show a bar.

    Returns:
        The finished run.

    Raises:
        RunExists: there is a run of that name, and neither `resume` nor `overwrite`.
        DataUnavailable: the dataset is not here and cannot be downloaded.
        BadInput: an option has no such value, or differs from that of the run to resume.
        TrainingDiverged: the loss is no longer finite.
        KeyboardInterrupt: Ctrl-C; what was done is saved, and `resume=True` goes on with the very next image.
    """
    given = {
        "activation": activation,
        "dataset": None if dataset is None else dataset_name(dataset),
        "validation": validation,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "device": device,
        "engine": engine,
        "threads": threads,
        "epochs": epochs,
        "seed": seed,
    }
    asked = _asked(given, name, Path(out), data_folder(data_dir), resume, overwrite, words("trackers", trackers))
    return _trained(asked, progress)


def _asked(
    given: Mapping[str, Any],
    name: str | None,
    out: Path,
    data_dir: Path | None,
    resume: bool,
    overwrite: bool,
    trackers: tuple[str, ...],
) -> Train:
    if resume and overwrite:
        raise BadInput("resume and overwrite exclude each other: give one of them")
    if torchrun.is_distributed():
        raise BadInput("train is for one process: of several, mnist-bench train is started by torchrun")
    typed = {option: value for option, value in given.items() if value is not None}
    usual = {option: getattr(USUAL, option) for option in given} | {"device": "auto", "engine": None, "threads": None}
    options = usual | typed
    one_of("activation", options["activation"], get_args(Activation))
    one_of("validation", options["validation"], get_args(Validation))
    whole("epochs", options["epochs"], MOST_EPOCHS)
    whole("batch_size", options["batch_size"], LARGEST_BATCH)
    whole("seed", options["seed"], LARGEST_SEED, 0)
    positive("learning_rate", options["learning_rate"])
    if options["threads"] is not None:
        counted(options["threads"])
    return Train(
        **options,
        name=name,
        out=out,
        data_dir=data_dir,
        convergence_at=DEFAULT_CONVERGENCE_AT,
        resume=resume,
        overwrite=overwrite,
        trackers=trackers,
        typed=frozenset(typed),
    )


def _trained(asked: Train, progress: bool) -> Run:
    tracking.check_installed(asked.trackers)
    (activation,) = asked.activations
    prepare(activation, asked)  # what can be refused is refused before anything is shown
    with ending_as_ctrl_c("resume=True goes on with the very next image"), told(progress) as shown:
        audience = Audience(shown.say, warn, partial(events, shown), stopping)
        record = train_one(activation, asked, training.ALONE, audience)
    return Run(store.run_folder(asked.out, record.name), record, asked.data_dir)
