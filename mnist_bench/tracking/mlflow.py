"""MLflow: a run in the store that MLFLOW_TRACKING_URI names, or in `mlflow.db` beside the run folders."""

import contextlib
import importlib.util
import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mnist_bench.core.events import EpochDone, Event, TrainingFinished, TrainingStarted
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import Record
from mnist_bench.tracking import _facts
from mnist_bench.tracking._guard import Tracker

EXPERIMENT, STORE, FILES = "mnist-bench", "mlflow.db", "mlflow"
OWN_FOLDER, OWN_START = "mnist-bench.folder", "mnist-bench.started_at"
NEEDED = ("mlflow", "sqlalchemy", "alembic")
MARK, FINAL_MARK = "validation/loss", "final/test_accuracy"  # the numbers by which one sees what is logged
USUAL = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}
"""What holds unless the user's environment says otherwise: a server that is not there must not hold a training up."""


def why_unavailable() -> Skipped | None:
    """Return what to install, or None."""
    if all(importlib.util.find_spec(name) for name in NEEDED):
        return None
    return Skipped("mlflow", "it is not installed", "pip install 'mnist-bench[mlflow]'")


class MlFlow:
    """See `Tracker`: a training that is resumed goes on in its run, which is found by folder and first start."""

    def __init__(self, folder: Path) -> None:
        for name, value in USUAL.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        self._folder, out = folder, folder.parent.resolve()
        elsewhere = os.environ.get("MLFLOW_TRACKING_URI")
        self._client: Any = MlflowClient(elsewhere or _own_store(out / STORE))
        found = self._client.get_experiment_by_name(EXPERIMENT)
        where = None if elsewhere else (out / FILES).as_uri()
        self._experiment = found.experiment_id if found else self._client.create_experiment(EXPERIMENT, where)
        self._run = ""

    def on_event(self, event: Event) -> None:
        """See `Tracker`."""
        match event:
            case TrainingStarted(record):
                self._start(record)
            case EpochDone(record):
                self._log(_facts.epoch_numbers(record.epochs[-1]), record.epochs[-1].epoch)
            case TrainingFinished(record):
                self._finish(record)

    def _start(self, record: Record) -> None:
        own = {OWN_FOLDER: str(self._folder.resolve()), OWN_START: record.environment.started_at}
        of_then = f"tags.`{OWN_START}` = '{own[OWN_START]}'"  # a folder might hold what a filter cannot
        started = self._client.search_runs([self._experiment], of_then)
        found = [run for run in started if run.data.tags.get(OWN_FOLDER) == own[OWN_FOLDER]]
        if found:
            self._run = found[0].info.run_id
            self._client.update_run(self._run, status="RUNNING")
        else:
            self._run = self._client.create_run(self._experiment, run_name=record.name, tags=own).info.run_id
            for name, value in _facts.parameters(record).items():
                self._client.log_param(self._run, name, value)
        there = self._steps(MARK)
        for epoch in record.epochs:
            if epoch.epoch not in there:
                self._log(_facts.epoch_numbers(epoch), epoch.epoch)

    def _finish(self, record: Record) -> None:
        if len(record.epochs) not in self._steps(FINAL_MARK):
            self._log(_facts.final_numbers(record), len(record.epochs))
        for name, value in _facts.words(record).items():
            self._client.set_tag(self._run, name, value)
        self._client.log_dict(self._run, {"confusions": _facts.confusions(record)}, "confusions.json")
        self._client.set_terminated(self._run, "FINISHED")
        self._run = ""

    def close(self) -> None:
        """See `Tracker`; a run that is not finished may go on later."""
        if self._run:
            self._client.set_terminated(self._run, "KILLED")

    def _steps(self, name: str) -> set[int]:
        """Return the steps at which a number is logged already."""
        return {one.step for one in self._client.get_metric_history(self._run, name)}

    def _log(self, numbers: dict[str, float], step: int) -> None:
        for name, value in numbers.items():
            self._client.log_metric(self._run, name, value, step=step)


def _own_store(path: Path) -> str:
    """Return the address of a SQLite file, once it can be opened: MLflow would try for minutes.

    Raises:
        sqlite3.Error: it cannot.
    """
    with contextlib.closing(sqlite3.connect(path)) as base:
        base.execute("PRAGMA schema_version")
    return f"sqlite:///file:{quote(path.as_posix())}?uri=true"


def create(folder: Path) -> Tracker:
    """Open the run in a folder."""
    return MlFlow(folder)
