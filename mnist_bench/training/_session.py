"""A training run from its first epoch to its saved record: stopped at any step, resumed as if nothing had happened."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace
from numpy.typing import NDArray
from torch import Tensor

from mnist_bench import data, environment, model, store
from mnist_bench.core.architecture import OPTIMIZER_SHAPES, SHAPES
from mnist_bench.core.commands import resume_command
from mnist_bench.core.dataset_names import how_to_find, shown
from mnist_bench.core.errors import BadInput, Interrupted, RecordDamaged, TrainingDiverged
from mnist_bench.core.events import EpochDone, ImagesTrained, OnEvent, Stop, TrainingFinished, TrainingStarted
from mnist_bench.core.kinds import Validation
from mnist_bench.core.types import (
    DatasetInfo,
    EpochMetrics,
    FinalMeasurement,
    PartialEpoch,
    Record,
    SavedFile,
    Tally,
    TrainConfig,
)
from mnist_bench.training._choice import usable_engine
from mnist_bench.training._evaluate import measure, predictions
from mnist_bench.training._group import ALONE, Group
from mnist_bench.training._schedule import MaskStream, derived_seed, epoch_order
from mnist_bench.training.engines._engine import Engine, RunningTally

MASK_STATE = "mask_state"


@dataclass(frozen=True)
class Trained:
    """A network that was trained without a folder: its epochs, its final measurement and its parameters by name."""

    epochs: tuple[EpochMetrics, ...]
    final: FinalMeasurement
    weights: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class DeviceTensors:
    """The tensors of a run on its device: images float32 (n, 1, 28, 28) with labels int64 (n,)."""

    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def new_record(name: str, config: TrainConfig, dataset: data.Dataset, passed_over: Sequence[str] = ()) -> Record:
    """Return the record of a run that has not begun; `passed_over` as in the record."""
    return Record(
        name=name,
        environment=environment.collect(config.device),
        dataset=dataset_info(dataset, config.validation),
        config=config,
        parameters=model.count_parameters(model.Network()),
        passed_over=tuple(passed_over),
    )


def dataset_info(dataset: data.Dataset, validation: Validation) -> DatasetInfo:
    """Describe a dataset as it is used with one way of validation."""
    train, watched = data.training_and_validation(dataset, validation)
    return DatasetInfo(
        name=dataset.name,
        classes=dataset.classes,
        sha256=dataset.sha256,
        train_images=len(train),
        validation_images=len(watched),
        test_images=len(dataset.test),
    )


def train(
    record: Record, dataset: data.Dataset, folder: Path, on_event: OnEvent, stop: Stop, group: Group = ALONE
) -> Record:
    """Train a new record's network, or go on with a saved one's; save after every epoch; measure at the end.

    Args:
        record: from `new_record`, or a saved one to go on with.
        dataset: the data that the record names.
        folder: the run's folder, locked by the caller; of several processes the first alone reads and writes it.
        on_event: is called as training goes on.
        stop: is asked after every step, or, of several processes, after some.
        group: the processes that train together; all are given the same record.

    Returns:
        The finished record, as saved.

    Raises:
        BadInput: the record was made with other data.
        Interrupted: `stop` asked for it; the state is saved, and a later call goes on with the next image.
        TrainingDiverged: the loss is no longer finite; what was saved before stays as it is.
        OutputUnwritable: the folder cannot be written; what was saved before stays as it is.
        FailedElsewhere: one of these happened in another process.
    """
    group.together(lambda: _check_consistent(record, dataset))
    engine, parts = prepare(replace(record.config, device=group.device(record.config.device)), dataset)
    mask_state = _restore(engine, record, folder, group)
    on_event(TrainingStarted(record))
    stop = group.agreed(stop)
    here = _Here(engine, parts, folder, on_event, stop, group)
    while len(record.epochs) < record.config.epochs:
        record = _saved_epoch(here, record, masks_of(record, parts, mask_state))
        mask_state = None
    record = group.first(lambda: _finish(engine, record, parts, folder), Record)
    on_event(TrainingFinished(record))
    if signal_number := stop():
        raise Interrupted(f"stopped; run {record.name!r} is finished and saved", signal_number)
    return record


def train_in_memory(config: TrainConfig, dataset: data.Dataset) -> Trained:
    """Train a network as `train` does, bit for bit, without a folder.

    Raises:
        TrainingDiverged: the loss is no longer finite.
    """
    engine, parts = prepare(config, dataset)
    record = new_record(f"{config.activation}, seed {config.seed}", config, dataset)
    while len(record.epochs) < config.epochs:
        record = _epoch(engine, record, parts)
    return Trained(record.epochs, measured(engine, parts), to_arrays(engine.network.state_dict()))


def prepare(config: TrainConfig, dataset: data.Dataset) -> tuple[Engine, DeviceTensors]:
    """Put the data and a new network on the device, and build the engine that trains it."""
    torch.set_num_threads(config.threads)
    parts = on_device(dataset, config)
    return _engine(config, parts), parts


def _check_consistent(record: Record, dataset: data.Dataset) -> None:
    """Raise where a record and the data, or a record and itself, do not belong together."""
    if dataset.sha256 != record.dataset.sha256:
        raise BadInput(
            f"run {record.name!r} was trained on other data than this {shown(dataset.name)}: "
            f"{how_to_find(dataset.name)}"
        )
    if record.epochs and record.checkpoint is None:
        raise RecordDamaged(f"run {record.name!r} has epochs but no checkpoint: restore its run.json, or train again")
    if record.dataset != dataset_info(dataset, record.config.validation):
        raise RecordDamaged(
            f"run {record.name!r} counts the images or the classes of {shown(dataset.name)} otherwise: "
            f"restore its run.json"
        )


def on_device(dataset: data.Dataset, config: TrainConfig) -> DeviceTensors:
    """Put the images of a dataset on a configuration's device."""
    kept, watched = data.training_and_validation(dataset, config.validation)

    def moved(images: data.Images) -> tuple[Tensor, Tensor]:
        pixels = torch.from_numpy(data.to_input(images.pixels)).to(config.device)
        return pixels, torch.from_numpy(images.labels.astype(np.int64)).to(config.device)

    test = moved(dataset.test)
    return DeviceTensors(moved(kept), test if config.validation == "test" else moved(watched), test)


def _engine(config: TrainConfig, parts: DeviceTensors) -> Engine:
    torch.set_float32_matmul_precision("highest")  # the protocol is IEEE float32: no TF32
    network = model.create(config.activation, config.dropout, derived_seed(config.seed, 0, "weights"))
    module = usable_engine(config.engine, config.device)
    engine: Engine = module.create(network.to(config.device), *parts.train, config)
    return engine


def masks_of(record: Record, parts: DeviceTensors, state: Tensor | None = None) -> MaskStream:
    """Return the dropout masks of the epoch that comes, from where an interrupted one stood."""
    config = record.config
    masks = MaskStream(config.seed, len(record.epochs) + 1, config.dropout, parts.train[1].device)
    if state is not None:
        try:
            masks.restore(state)
        except (RuntimeError, TypeError) as error:
            raise RecordDamaged(
                f"run {record.name!r} was stopped within an epoch, and where its masks stood is no state of a "
                f"generator: train again with --overwrite"
            ) from error
    return masks


def _epoch(engine: Engine, record: Record, parts: DeviceTensors) -> Record:
    """Train one epoch and evaluate it."""
    reached = steps(engine, record, masks_of(record, parts), lambda _: None, lambda: None)
    return evaluated(engine, record, parts, reached)


@dataclass(frozen=True)
class _Here:
    """What this process trains with, and whom it asks and tells; see `train`."""

    engine: Engine
    parts: DeviceTensors
    folder: Path
    on_event: OnEvent
    stop: Stop
    group: Group


def _saved_epoch(here: _Here, record: Record, masks: MaskStream) -> Record:
    """Train one epoch, or the rest of one; evaluate and save; or save where it stands and raise Interrupted."""
    engine, folder, epoch = here.engine, here.folder, len(record.epochs) + 1
    reached = steps(engine, record, masks, lambda images: here.on_event(ImagesTrained(epoch, images)), here.stop)
    if reached.train.images == record.dataset.train_images:
        record = here.group.first(lambda: _save(engine, evaluated(engine, record, here.parts, reached), folder), Record)
        here.on_event(EpochDone(record))
    else:
        stopped = replace(record, final=None)
        record = here.group.first(lambda: _save(engine, stopped, folder, reached, masks.state()), Record)
    if (signal_number := here.stop()) and len(record.epochs) < record.config.epochs:
        raise Interrupted(_farewell(record, folder), signal_number)
    return record


def steps(
    engine: Engine,
    record: Record,
    masks: MaskStream,
    advanced: Callable[[int], object],
    stop: Stop,
) -> PartialEpoch:
    """Run the steps of an epoch from where it stands, to its end or until asked to stop."""
    config = record.config
    start = (record.checkpoint and record.checkpoint.partial) or PartialEpoch(train=Tally(), train_s=0.0)
    tally = RunningTally.start(start.train, masks.device)
    began = time.perf_counter()
    order = epoch_order(config.seed, len(record.epochs) + 1, record.dataset.train_images).to(masks.device)
    for images in engine.run(order[start.train.images :], masks, tally):
        advanced(images)
        if stop():
            break
    reached = tally.read()  # waits for the device
    _check_finite(reached, record)
    return PartialEpoch(train=reached, train_s=start.train_s + time.perf_counter() - began)


def _check_finite(tally: Tally, record: Record) -> None:
    if not math.isfinite(tally.loss_sum):
        raise TrainingDiverged(
            f"the loss became {tally.loss_sum} in epoch {len(record.epochs) + 1} of run {record.name!r}: "
            f"use a smaller --lr than {record.config.learning_rate:g}"
        )


def evaluated(engine: Engine, record: Record, parts: DeviceTensors, reached: PartialEpoch) -> Record:
    """Add an epoch whose steps are done to the record."""
    began = time.perf_counter()
    validation, _ = measure(engine.network, *parts.validation)
    _check_finite(validation, record)
    metrics = EpochMetrics(
        epoch=len(record.epochs) + 1,
        train=reached.train,
        validation=validation,
        train_s=reached.train_s,
        evaluation_s=time.perf_counter() - began,
    )
    return replace(record, epochs=(*record.epochs, metrics), final=None)


def _finish(engine: Engine, record: Record, parts: DeviceTensors, folder: Path) -> Record:
    if record.final is not None:
        return record
    record = replace(record, final=measured(engine, parts))
    store.save(folder, record)
    return record


def measured(engine: Engine, parts: DeviceTensors) -> FinalMeasurement:
    """Measure the trained network once more, on the training set and image by image on the test set."""
    began = time.perf_counter()
    train_tally, _ = measure(engine.network, *parts.train)
    test_tally, logits = measure(engine.network, *parts.test)
    return FinalMeasurement(
        train=train_tally,
        test=test_tally,
        predictions=predictions(logits, parts.test[1]),
        measurement_s=time.perf_counter() - began,
    )


def _farewell(record: Record, folder: Path) -> str:
    partial = record.checkpoint and record.checkpoint.partial
    where = f"{partial.train.images:,} of {record.dataset.train_images:,} images into" if partial else "before"
    return (
        f"stopped {where} epoch {len(record.epochs) + 1} of {record.config.epochs}; all is saved: "
        f"go on with {resume_command(record, folder.parent)}"
    )


def _save(
    engine: Engine,
    record: Record,
    folder: Path,
    partial: PartialEpoch | None = None,
    mask_state: Tensor | None = None,
) -> Record:
    optimizer = to_arrays(engine.optimizer_state())
    if mask_state is not None:
        optimizer[MASK_STATE] = mask_state.numpy()
    return store.save_checkpoint(folder, record, to_arrays(engine.network.state_dict()), optimizer, partial)


def _restore(engine: Engine, record: Record, folder: Path, group: Group) -> Tensor | None:
    """Load the checkpoint that the record names, if any; return the mask stream's state, if stopped within an epoch."""
    if record.checkpoint is None:
        return None
    saved = record.checkpoint
    assert saved.optimizer  # an imported run, which has none, is never trained
    weights, state = (_loaded(folder, file, group) for file in (saved.weights, saved.optimizer))
    mask_state = state.pop(MASK_STATE, None)
    store.check_arrays(weights, SHAPES, folder / saved.weights.name)
    store.check_arrays(state, OPTIMIZER_SHAPES, folder / saved.optimizer.name)
    engine.restore(_to_tensors(weights), _to_tensors(state))
    return None if mask_state is None else torch.from_numpy(mask_state.copy())


def _loaded(folder: Path, saved: SavedFile, group: Group) -> dict[str, NDArray[Any]]:
    content = group.first(lambda: store.content(folder, saved), bytes)
    return store.to_arrays(content, folder / saved.name)


def to_arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


def _to_tensors(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
