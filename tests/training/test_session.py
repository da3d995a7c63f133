import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from mnist_bench import data, model, store, training
from mnist_bench.core.errors import BadInput, Interrupted, RecordDamaged, TrainingDiverged
from mnist_bench.core.events import EpochDone, Event, ImagesTrained, TrainingFinished, TrainingStarted, ignore
from mnist_bench.core.types import Record
from tests.conftest import StopAfter, train_digits

STEPS = 12  # of an epoch on the digits: 1,437 images, 128 a step


def weights_sha256(record: Record) -> str:
    assert record.checkpoint
    return record.checkpoint.weights.sha256


def resume(folder: Path, digits: data.Dataset, stop: StopAfter | None = None) -> Record:
    return training.train(store.load_record(folder), digits, folder, ignore, stop or StopAfter())


def test_a_full_training_on_digits_learns_them(trained: tuple[Path, Record]) -> None:
    _, record = trained
    assert record.final
    assert record.final.test.accuracy > 0.93
    assert record.final.train.accuracy > 0.97
    assert len(record.epochs) == 15
    assert all(epoch.train.images == 1437 for epoch in record.epochs)  # the short last batch included


def test_the_final_measurement_is_that_of_the_saved_weights(trained: tuple[Path, Record], digits: data.Dataset) -> None:
    folder, record = trained
    assert record.final
    assert record.checkpoint
    network = model.Network("relu").eval()
    arrays = store.load_arrays(folder, record.checkpoint.weights)
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
    with torch.no_grad():
        logits = network(torch.from_numpy(data.to_input(digits.test.pixels))).double().numpy()
    found = record.final.predictions
    np.testing.assert_array_equal(found.labels, digits.test.labels)
    np.testing.assert_array_equal(found.predictions, logits.argmax(1))
    ordered = np.sort(logits, axis=1)
    right = np.equal(found.labels, found.predictions)
    np.testing.assert_allclose(np.array(found.margins)[right], (ordered[:, -1] - ordered[:, -2])[right], atol=1e-4)
    assert (np.array(found.margins)[~right] < 0).all()
    assert record.final.test.correct == right.sum()


def test_the_same_configuration_gives_the_same_weights(tmp_path: Path, digits: data.Dataset) -> None:
    torch.manual_seed(1)
    first = train_digits(tmp_path / "a", digits)
    torch.manual_seed(2)
    assert weights_sha256(first) == weights_sha256(train_digits(tmp_path / "b", digits))
    assert weights_sha256(first) != weights_sha256(train_digits(tmp_path / "c", digits, seed=1))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("steps", [1, 5, STEPS - 1, STEPS, STEPS + 1, 2 * STEPS, 3 * STEPS - 1])
def test_resumed_training_is_bit_identical_to_training_never_interrupted(
    steps: int, threads: int, tmp_path: Path, digits: data.Dataset
) -> None:
    whole = train_digits(tmp_path / "whole", digits, epochs=3, threads=threads)
    with pytest.raises(Interrupted, match="all is saved") as stopped:
        train_digits(tmp_path / "parts", digits, StopAfter(steps), epochs=3, threads=threads)
    assert stopped.value.exit_code == 130
    parts = resume(tmp_path / "parts", digits)
    assert weights_sha256(parts) == weights_sha256(whole)
    assert parts.checkpoint
    assert whole.checkpoint
    assert parts.checkpoint.optimizer == whole.checkpoint.optimizer
    assert parts.final
    assert whole.final
    assert parts.final.predictions == whole.final.predictions
    assert [epoch.train for epoch in parts.epochs] == [epoch.train for epoch in whole.epochs]
    assert [epoch.validation for epoch in parts.epochs] == [epoch.validation for epoch in whole.epochs]


def test_stopped_at_every_single_step_it_still_ends_the_same(tmp_path: Path, digits: data.Dataset) -> None:
    whole = train_digits(tmp_path / "whole", digits, epochs=1)
    with pytest.raises(Interrupted):
        train_digits(tmp_path / "parts", digits, StopAfter(1), epochs=1)
    for _ in range(STEPS - 2):
        with pytest.raises(Interrupted):
            resume(tmp_path / "parts", digits, StopAfter(1))
    assert weights_sha256(resume(tmp_path / "parts", digits)) == weights_sha256(whole)


def test_more_epochs_later_are_as_good_as_at_once(tmp_path: Path, digits: data.Dataset) -> None:
    train_digits(tmp_path / "run", digits, epochs=1)
    saved = store.load_record(tmp_path / "run")
    longer = replace(saved, config=replace(saved.config, epochs=3), final=None)
    longer = training.train(longer, digits, tmp_path / "run", ignore, StopAfter())
    assert weights_sha256(longer) == weights_sha256(train_digits(tmp_path / "whole", digits, epochs=3))
    assert len(longer.epochs) == 3


def test_a_signal_at_the_very_end_is_heard_and_nothing_is_lost(tmp_path: Path, digits: data.Dataset) -> None:
    with pytest.raises(Interrupted, match="is finished and saved"):
        train_digits(tmp_path / "run", digits, StopAfter(STEPS), epochs=1)
    assert store.load_record(tmp_path / "run").final


def test_a_copied_folder_is_a_run_of_its_own_name(trained: tuple[Path, Record], tmp_path: Path) -> None:
    shutil.copytree(trained[0], tmp_path / "copy")
    assert store.load_record(tmp_path / "copy").name == "copy"


@pytest.mark.parametrize(
    ("field", "value"),
    [("epochs", ()), ("dataset", {"test_images": 10})],
)
def test_a_record_that_does_not_fit_itself_is_refused(
    field: str, value: Any, trained: tuple[Path, Record], digits: data.Dataset
) -> None:
    folder, record = trained
    if field == "epochs":
        broken = replace(record, checkpoint=None, final=None)
    else:
        broken = replace(record, dataset=replace(record.dataset, **value), final=None)
    with pytest.raises(RecordDamaged):
        training.train(broken, digits, folder, ignore, StopAfter())


def test_a_finished_run_is_not_touched_by_resuming(trained: tuple[Path, Record], digits: data.Dataset) -> None:
    folder, record = trained
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert resume(folder, digits) == record
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_diverged_training_loses_nothing(tmp_path: Path, digits: data.Dataset) -> None:
    folder = tmp_path / "run"
    train_digits(folder, digits, epochs=1)
    saved = store.load_record(folder)
    hot = replace(saved, config=replace(saved.config, epochs=3, learning_rate=1e30), final=None)
    with pytest.raises(TrainingDiverged, match=r"loss became (nan|inf) in epoch \d of run 'run': use a smaller --lr"):
        training.train(hot, digits, folder, ignore, StopAfter())
    after = store.load_record(folder)
    assert after.checkpoint
    assert np.isfinite(store.load_arrays(folder, after.checkpoint.weights)["fc1.weight"]).all()


def test_other_data_are_refused(trained: tuple[Path, Record], digits: data.Dataset) -> None:
    folder, record = trained
    other = replace(record, dataset=replace(record.dataset, sha256={"train": "0" * 64}))
    with pytest.raises(BadInput, match="other data"):
        training.train(other, digits, folder, ignore, StopAfter())


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path, digits: data.Dataset) -> None:
    folder = tmp_path / "run"
    saved = train_digits(folder, digits, epochs=1)
    store.save_checkpoint(
        folder, saved, {"fc1.weight": np.zeros((3, 3), np.float32)}, {"step": np.zeros((), np.float32)}
    )
    longer = replace(store.load_record(folder), config=replace(saved.config, epochs=2), final=None)
    with pytest.raises(RecordDamaged, match="of another network"):
        training.train(longer, digits, folder, ignore, StopAfter())


def test_holdout_watches_the_held_out_images_and_measures_the_test_set_once(
    tmp_path: Path, digits: data.Dataset
) -> None:
    record = train_digits(tmp_path / "run", digits, validation="holdout", epochs=2)
    assert [epoch.validation.images for epoch in record.epochs] == [119, 119]
    assert [epoch.train.images for epoch in record.epochs] == [1318, 1318]
    assert record.final
    assert (record.final.train.images, record.final.test.images) == (1318, 360)


def test_every_step_and_epoch_is_told(tmp_path: Path, digits: data.Dataset) -> None:
    (tmp_path / "run").mkdir()
    events: list[Event] = []
    config = replace(train_digits(tmp_path / "other", digits).config, epochs=2)
    training.train(training.new_record("run", config, digits), digits, tmp_path / "run", events.append, StopAfter())
    images = [event.images for event in events if isinstance(event, ImagesTrained)]
    assert sum(images) == 2 * 1437
    assert images[-1] == 1437 % 128
    assert [len(event.record.epochs) for event in events if isinstance(event, EpochDone)] == [1, 2]
    assert isinstance(events[0], TrainingStarted)
    assert isinstance(events[-1], TrainingFinished)


@pytest.mark.mnist
@pytest.mark.parametrize(("activation", "accuracy"), [("relu", 0.965), ("sigmoid", 0.93)])
def test_two_epochs_of_mnist(activation: str, accuracy: float, tmp_path: Path, mnist_root: Path) -> None:
    mnist = data.load("mnist", mnist_root)
    threads = torch.get_num_threads()
    record = train_digits(tmp_path / "run", mnist, dataset="mnist", activation=activation, threads=threads)
    assert record.final
    assert record.final.test.accuracy >= accuracy
    assert record.epochs[0].train.images == 60_000


@pytest.mark.cuda
def test_cuda_learns_the_digits_and_resumes_bit_for_bit(tmp_path: Path, digits: data.Dataset) -> None:
    whole = train_digits(tmp_path / "whole", digits, epochs=15, device="cuda:0")
    assert whole.final
    assert whole.final.test.accuracy > 0.93
    with pytest.raises(Interrupted):
        train_digits(tmp_path / "parts", digits, StopAfter(STEPS + 3), epochs=15, device="cuda:0")
    assert weights_sha256(resume(tmp_path / "parts", digits)) == weights_sha256(whole)
