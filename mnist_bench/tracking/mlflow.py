"""MLflow: a run in the store that MLFLOW_TRACKING_URI names, or in `mlflow.db` beside the run folders."""

import importlib.util
import os
from pathlib import Path
from typing import Any

from mnist_bench.core.types import Record, Skipped
from mnist_bench.tracking import _facts
from mnist_bench.tracking._guard import Tracker

EXPERIMENT, STORE, FILES = "mnist-bench", "mlflow.db", "mlflow"
OWN_FOLDER, OWN_START = "mnist-bench.folder", "mnist-bench.started_at"
NEEDED = ("mlflow", "sqlalchemy", "alembic")
MARK = "validation/loss"  # the number by which one sees which epochs are logged


def why_unavailable() -> Skipped | None:
    """Return what to install, or None."""
    if all(importlib.util.find_spec(name) for name in NEEDED):
        return None
    return Skipped("mlflow", "it is not installed", "pip install 'mnist-bench[mlflow]'")


class MlFlow:
    """See `Tracker`: a training that is resumed goes on in its run, which is found by folder and first start."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        self._folder, out = folder, folder.parent.resolve()
        self._client: Any = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{out / STORE}")
        found = self._client.get_experiment_by_name(EXPERIMENT)
        where = None if os.environ.get("MLFLOW_TRACKING_URI") else (out / FILES).as_uri()
        self._experiment = found.experiment_id if found else self._client.create_experiment(EXPERIMENT, where)
        self._run = ""

    def started(self, record: Record) -> None:
        """See `Tracker`."""
        own = {OWN_FOLDER: str(self._folder.resolve()), OWN_START: record.environment.started_at}
        wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in own.items())
        found = self._client.search_runs([self._experiment], wanted, max_results=1)
        if found:
            self._run = found[0].info.run_id
            self._client.update_run(self._run, status="RUNNING")
        else:
            self._run = self._client.create_run(self._experiment, run_name=record.name, tags=own).info.run_id
            for name, value in _facts.parameters(record).items():
                self._client.log_param(self._run, name, value)
        there = {one.step for one in self._client.get_metric_history(self._run, MARK)} if found else set()
        for epoch in record.epochs:
            if epoch.epoch not in there:
                self._log(_facts.epoch_numbers(epoch), epoch.epoch)

    def epoch_done(self, record: Record) -> None:
        """See `Tracker`."""
        self._log(_facts.epoch_numbers(record.epochs[-1]), record.epochs[-1].epoch)

    def finished(self, record: Record) -> None:
        """See `Tracker`."""
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

    def _log(self, numbers: dict[str, float], step: int) -> None:
        for name, value in numbers.items():
            self._client.log_metric(self._run, name, value, step=step)


def create(folder: Path) -> Tracker:
    """Open the run in a folder."""
    return MlFlow(folder)
