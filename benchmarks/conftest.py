"""Developers' benchmarks: saved per kind of machine, and compared with the newest of the same kind."""

import re
from pathlib import Path

import pytest

from mnist_bench import data, environment, formats, store, training
from mnist_bench.core.events import ignore
from mnist_bench.core.types import Record, TrainConfig

STORAGE = Path(__file__).parent.parent / ".benchmarks"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Save every run, by processor and number of cores; compare where there is something to compare with."""
    found = environment.collect()
    machine = re.sub(r"[^a-z0-9]+", "-", f"{found.cores} cores {found.cpu_model}".lower()).strip("-")
    storage = STORAGE / machine
    config.option.benchmark_storage = storage.as_uri()
    config.option.benchmark_autosave = re.sub(r"\D", "", found.started_at)
    if not config.option.benchmark_compare and list(storage.glob("*/*.json")):
        config.option.benchmark_compare = True


@pytest.fixture(scope="session")
def dataset() -> data.Dataset:
    """The digits, which every machine has."""
    return data.load("digits")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, dataset: data.Dataset) -> Path:
    """A run on the digits with all its exports."""
    found = tmp_path_factory.mktemp("runs") / "digits-relu"
    found.mkdir()
    record = training.new_record(found.name, TrainConfig(dataset="digits", epochs=3), dataset)
    record = training.train(record, dataset, found, ignore, lambda: None)
    for name in formats.names():
        for precision in formats.precisions(name):
            formats.export(found, record, name, precision=precision)
    return found


@pytest.fixture(scope="session")
def record(folder: Path) -> Record:
    return store.load_record(folder)
