"""Several processes train one network: the same as one does, and none waits for ever."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from mnist_bench import data, model, store, training
from mnist_bench.core import torchrun
from mnist_bench.core.errors import BadInput, TargetUnavailable
from mnist_bench.core.types import Record
from mnist_bench.training._schedule import derived_seed
from tests import nearness
from tests.conftest import Run, train_digits

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone")
OWN = ("-m", "--", "mnist_bench", "train", "--dataset", "digits", "--threads", "1", "--run", "several")


def command(*arguments: object, processes: int = 2) -> list[str]:
    return [*TORCHRUN, f"--nproc-per-node={processes}", *OWN, *map(str, arguments)]


def started(folder: Path, *arguments: object, processes: int = 2) -> "subprocess.CompletedProcess[str]":
    """Let torchrun train on the digits in a folder, and wait for it."""
    line = command(*arguments, processes=processes)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False)


def weights(folder: Path, record: Record) -> dict[str, torch.Tensor]:
    assert record.checkpoint
    return {
        name: torch.from_numpy(array.copy())
        for name, array in store.load_arrays(folder, record.checkpoint.weights).items()
    }


def same(folders: Sequence[Path], records: Sequence[Record]) -> bool:
    """Tell whether two runs came to the same weights and tallies, within rounding."""
    one, other = (weights(folder, record) for folder, record in zip(folders, records, strict=True))
    losses = [[epoch.train.loss for epoch in record.epochs] for record in records]
    start = model.create("relu", 0.2, derived_seed(records[1].config.seed, 0, "weights")).state_dict()
    near = nearness.drift(one, other, start) < nearness.SAME
    return near and losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize(("batch", "processes"), [(479, 2), pytest.param(128, 3, marks=pytest.mark.torture)])
def test_two_processes_train_as_one_does(batch: int, processes: int, digits: data.Dataset, tmp_path: Path) -> None:
    """479 images a step are 240 and 239; with 128 over three processes the last step has 29: 10, 10 and 9."""
    done = started(tmp_path, "--epochs", 1, "--batch-size", batch, processes=processes)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Saved in exports") == 1
    folder = tmp_path / "exports" / "several"
    record = store.load_record(folder)
    assert (record.config.engine, record.config.processes) == ("distributed", processes)
    alone = train_digits(tmp_path / "alone", digits, epochs=1, batch_size=batch)
    assert same((folder, tmp_path / "alone"), (record, alone))
    other = train_digits(tmp_path / "other", digits, epochs=1, batch_size=batch, seed=1)
    assert not same((folder, tmp_path / "other"), (record, other))  # the comparison can fail


@pytest.mark.torture
def test_stopped_processes_go_on_with_the_next_image(digits: data.Dataset, tmp_path: Path) -> None:
    line = command("--epochs", 400)
    with subprocess.Popen(
        line, cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True
    ) as process:
        path, until = tmp_path / "exports" / "several" / "run.json", time.monotonic() + 120
        while not path.exists() and time.monotonic() < until:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=120)
    assert "all is saved: go on with torchrun --nproc-per-node=2 -m -- mnist_bench train --run several --resume" in err
    folder = tmp_path / "exports" / "several"
    stopped = store.load_record(folder)
    assert 1 <= len(stopped.epochs) < 400
    done = started(tmp_path, "--resume", "--epochs", len(stopped.epochs) + 1, "--quiet")
    assert done.returncode == 0, done.stderr
    alone = train_digits(tmp_path / "alone", digits, epochs=len(stopped.epochs) + 1)
    went_on = store.load_record(folder)
    assert len(went_on.resumed_at) == 1
    losses = [[epoch.train.loss for epoch in record.epochs[:3]] for record in (went_on, alone)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_what_one_process_cannot_do_ends_all_with_one_line(tmp_path: Path) -> None:
    done = started(tmp_path, "--epochs", 1, "--lr", 1e30, "--batch-size", 8)
    assert done.returncode != 0
    ours = [line for line in done.stderr.splitlines() if line.startswith("mnist-bench: ")]
    assert len(ours) == 1
    assert "use a smaller --lr" in ours[0]


def test_the_engine_of_several_processes_is_none_for_one(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TargetUnavailable, match="torchrun --nproc-per-node"):
        training.usable_engine("distributed", "cpu")
    assert "distributed" not in training.engines_for("cpu")
    assert run("train", "--dataset", "digits", "--engine", "distributed") == 3
    assert "torchrun" in capsys.readouterr().err


def test_half_a_torchrun_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert torchrun.place() == torchrun.Place()
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BadInput, match="torchrun did not start this process"):
        torchrun.place()
    for name, value in (("RANK", "1"), ("LOCAL_RANK", "1"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    assert torchrun.place() == torchrun.Place(1, 2, 1, 2)
    monkeypatch.setenv("RANK", "2")
    with pytest.raises(BadInput, match="cannot be"):
        torchrun.place()


@pytest.mark.mnist
@pytest.mark.torture
def test_on_mnist_the_accuracy_is_that_of_one_process(tmp_path: Path, mnist_root: Path) -> None:
    """Rounding grows to another training's worth: 8 seeds of ReLU vary by 0.154 points, and so two of them by 0.22."""
    line = [*TORCHRUN, "--nproc-per-node=2", "-m", "--", "mnist_bench", "train", "--data-dir", str(mnist_root)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*line, "--quiet"], cwd=tmp_path, env=environment, timeout=900, check=True)
    alone = [sys.executable, "-m", "mnist_bench", "train", "--data-dir", str(mnist_root), "--run", "alone", "--quiet"]
    subprocess.run(alone, cwd=tmp_path, timeout=900, check=True)
    finals = [store.load_record(tmp_path / "exports" / name).final for name in ("mnist-relu", "alone")]
    assert finals[0]
    assert finals[1]
    assert abs(finals[0].test.accuracy - finals[1].test.accuracy) < 3 * 0.0022
