"""What trackers log is what the record holds; one that fails is dropped, and the training goes on."""

import os
import sqlite3
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from mnist_bench import data, store, tracking
from mnist_bench.core.events import EpochDone, Event, ImagesTrained, TrainingFinished, TrainingStarted
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import Record
from mnist_bench.tracking import tensorboard
from tests.conftest import Run

OWN = ("train", "--dataset", "digits")
SOON_S = 60  # of which most is importing torch and MLflow on a busy machine; MLflow's own patience is minutes


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Read TensorBoard's own event files back: values by name and step; a step that is there twice fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        log = EventAccumulator(str(folder))
        log.Reload()
    found = {name: [(event.step, event.value) for event in log.Scalars(name)] for name in log.Tags()["scalars"]}
    assert all(len({step for step, _ in events}) == len(events) for events in found.values())
    return {name: dict(events) for name, events in found.items()}


def texts(folder: Path) -> set[str]:
    """Read the names of the texts in TensorBoard's event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(folder))
    log.Reload()
    return {name.removesuffix("/text_summary") for name in log.Tags()["tensors"]}


def test_tensorboard_holds_the_record_also_after_a_resumption(run: Run) -> None:
    assert run(*OWN, "--epochs", 2, "--quiet") == 0
    assert run(*OWN, "--epochs", 3, "--resume", "--track", "tensorboard", "--quiet") == 0
    folder = Path("exports/digits-relu")
    record, found = store.load_record(folder), scalars(folder / "tensorboard")
    assert record.final
    assert texts(folder / "tensorboard") == {"configuration", "run", "confusions"}
    losses = {epoch.epoch: epoch.validation.loss for epoch in record.epochs}
    assert found["validation/loss"] == pytest.approx(losses)
    assert found["final/test_accuracy"] == {3: pytest.approx(record.final.test.accuracy)}
    assert set(found["time/images_per_s"]) == {1, 2, 3}
    assert run(*OWN, "--epochs", 1, "--overwrite", "--quiet") == 0
    assert not list((folder / "tensorboard").glob("events*"))
    assert run(*OWN, "--epochs", 1, "--overwrite", "--track", "tensorboard", "--quiet") == 0
    assert texts(folder / "tensorboard") == {"configuration", "run", "confusions"}


def test_mlflow_holds_the_record_also_after_a_resumption(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    for epochs in (2, 3):
        line = [*OWN, "--epochs", str(epochs), "--resume", "--track", "mlflow", "--quiet"]
        environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        subprocess.run([sys.executable, "-m", "mnist_bench", *line], cwd=tmp_path, env=environment, check=True)
    record = store.load_record(tmp_path / "exports" / "digits-relu")
    assert record.final
    with sqlite3.connect(tmp_path / "exports" / "mlflow.db") as base:
        rows = base.execute("select step, value from metrics where key = 'validation/loss' order by step").fetchall()
        finals = base.execute("select step, value from metrics where key = 'final/test_accuracy' order by step")
        assert rows == [(epoch.epoch, pytest.approx(epoch.validation.loss)) for epoch in record.epochs]
        assert finals.fetchall()[-1] == (3, pytest.approx(record.final.test.accuracy))
        assert base.execute("select status from runs").fetchall() == [("FINISHED",)]
        assert ("seed", "0") in base.execute("select key, value from params").fetchall()
    base.close()
    assert len(list((tmp_path / "exports" / "mlflow").rglob("confusions.json"))) == 1


def test_mlflow_takes_any_folder_and_logs_nothing_twice(tmp_path: Path, trained: tuple[Path, Record]) -> None:
    pytest.importorskip("mlflow")
    from mnist_bench.tracking import mlflow

    record = trained[1]
    folder = tmp_path / "o'brien 50% a?b#c" / record.name
    folder.mkdir(parents=True)
    for _ in range(2):
        tracker = mlflow.create(folder)
        tracker.on_event(TrainingStarted(record))
        tracker.on_event(TrainingFinished(record))
        tracker.close()
    with sqlite3.connect(folder.parent / "mlflow.db") as base:
        assert base.execute("select status from runs").fetchall() == [("FINISHED",)]
        logged = base.execute("select step from metrics where key = 'final/test_accuracy'").fetchall()
        assert logged == [(len(record.epochs),)]
    base.close()


def test_a_server_that_is_not_there_does_not_hold_training_up(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    environment = {**os.environ, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    line = [sys.executable, "-m", "mnist_bench", *OWN, "--epochs", "1", "--track", "mlflow", "--quiet"]
    began = time.monotonic()
    done = subprocess.run(line, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert time.monotonic() - began < SOON_S
    (told,) = done.stderr.splitlines()
    assert told.startswith("mlflow no longer tracks this run (")
    assert store.load_record(tmp_path / "exports" / "digits-relu").final


class Broken:
    """A tracker that fails once an epoch is done."""

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def on_event(self, event: Event) -> None:
        if not isinstance(event, ImagesTrained):
            self.told.append(type(event).__name__)
        if isinstance(event, EpochDone):
            raise OSError("the disk is\nfull")

    def close(self) -> None:
        self.told.append("closed")


def test_a_tracker_that_fails_is_dropped_and_training_goes_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    monkeypatch.setattr(tensorboard, "create", lambda _: Broken(told))
    assert run(*OWN, "--epochs", 2, "--track", "tensorboard") == 0
    assert told == ["TrainingStarted", "EpochDone", "closed"]
    lines = [line for line in capsys.readouterr().err.splitlines() if "no longer tracks" in line]
    assert lines == ["tensorboard no longer tracks this run (OSError: the disk is full); training goes on"]
    assert len(store.load_record(Path("exports/digits-relu")).epochs) == 2


def test_a_tracker_that_cannot_be_opened_is_dropped_too(digits: data.Dataset) -> None:
    complaints: list[str] = []

    def create() -> Any:
        raise ImportError("no such thing")

    guarded = tracking.Guarded("mlflow", create, complaints.append)
    guarded.close()
    assert complaints == ["mlflow no longer tracks this run (ImportError: no such thing); training goes on"]


def test_a_tracker_that_is_not_installed_is_refused_before_anything_is_trained(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = Skipped("tensorboard", "it is not installed", "pip install 'mnist-bench[tensorboard]'")
    monkeypatch.setattr(tensorboard, "why_unavailable", lambda: missing)
    assert run(*OWN, "--track", "tensorboard") == 3
    assert "pip install 'mnist-bench[tensorboard]'" in capsys.readouterr().err
    assert run(*OWN, "--track", "diary") == 2
    assert "no 'diary' among the trackers" in capsys.readouterr().err
    assert not Path("exports/digits-relu/run.json").exists()
