"""Who trains what: one by one, many at once, in several processes; and what is kept when one dies."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace

from mnist_bench import data, model, store, study, training
from mnist_bench.core.child import ChildFailed
from mnist_bench.core.errors import BadInput, RecordDamaged
from mnist_bench.core.study_types import BATCHED, SeedResult, StudyRecord
from mnist_bench.core.types import TrainConfig
from mnist_bench.study import jobs, worker
from mnist_bench.training import _many
from mnist_bench.training._schedule import derived_seed
from tests import nearness
from tests.conftest import Run, train_digits

CONFIG = TrainConfig(dataset="digits", epochs=1)


def numbers(result: SeedResult) -> object:
    """Return all of a result but its times and its machine."""
    tallies = [(epoch.train, epoch.validation) for epoch in result.epochs]
    return result.key, tallies, result.train, result.test, result.misclassified, result.weights_sha256


def in_this_process(_: str, request: jobs.Assignment, __: object, **___: object) -> jobs.Outcome:
    return worker.train(request)


def run_study(record: StudyRecord, digits: data.Dataset, folder: Path) -> StudyRecord:
    folder.mkdir(exist_ok=True, parents=True)
    with study.joined() as crew:
        return study.run(record, digits, folder, study.WorkerOptions(None, 1), lambda _: None, lambda: None, crew)


def new(digits: data.Dataset, seeds: tuple[int, ...] = (0, 1), name: str = "study-digits") -> StudyRecord:
    return study.new_study(name, CONFIG, ("relu", "sigmoid"), seeds, digits)


def test_a_study_s_training_is_that_of_a_run(digits: data.Dataset, tmp_path: Path) -> None:
    run = train_digits(tmp_path / "digits-relu", digits, epochs=1, seed=3)
    outcome = worker.train(jobs.Assignment(CONFIG, jobs.Job("relu", (3,)), None))
    assert run.checkpoint
    assert run.final
    (result,) = outcome.results
    assert result.weights_sha256 == run.checkpoint.weights.sha256
    assert result.test.correct == run.final.test.correct


def test_what_is_done_is_kept_when_a_worker_dies_and_the_rest_is_done_later(
    digits: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(function: str, request: jobs.Assignment, result_type: object, **rest: object) -> jobs.Outcome:
        if request.job == jobs.Job("sigmoid", (0,)):
            raise ChildFailed("its process was killed by SIGKILL: without a word", 3)
        return in_this_process(function, request, result_type, **rest)

    monkeypatch.setattr("mnist_bench.core.child.call", dying)
    folder = tmp_path / "study-digits"
    broken = run_study(new(digits), digits, folder)
    assert [failure.key for failure in broken.failures] == [("sigmoid", 0)]
    assert "SIGKILL" in broken.failures[0].reason
    assert store.load_study(folder) == broken
    assert broken.lacking == (("sigmoid", 0),)
    monkeypatch.setattr("mnist_bench.core.child.call", in_this_process)
    whole = run_study(study.extended(broken, ("relu", "sigmoid"), (0, 1)), digits, folder)
    assert (whole.lacking, whole.failures) == ((), ())
    assert [numbers(one) for one in whole.results if one.key != ("sigmoid", 0)] == [
        numbers(one) for one in broken.results
    ]
    assert len(whole.resumed_at) == 1


def test_a_study_is_not_continued_on_other_data(digits: data.Dataset, tmp_path: Path) -> None:
    record = new(digits)
    foreign = replace(record, dataset=replace(record.dataset, sha256={"train": "1" * 64}))
    with pytest.raises(BadInput, match="was begun with other data"):
        run_study(foreign, digits, tmp_path / "study-digits")


def test_jobs_keep_the_pairs_of_a_seed_together() -> None:
    lacking = [(activation, seed) for activation in ("relu", "sigmoid") for seed in (0, 1)]
    assert [(job.activation, job.seeds) for job in jobs.jobs_of(lacking)] == [  # type: ignore[arg-type]
        ("relu", (0,)),
        ("sigmoid", (0,)),
        ("relu", (1,)),
        ("sigmoid", (1,)),
    ]
    assert [job.seeds for job in jobs.jobs_of([("relu", seed) for seed in range(5)], 2)] == [(0, 1), (2, 3), (4,)]


@pytest.mark.processors
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_many_seeds_at_once_train_as_one_by_one(activation: Any, digits: data.Dataset) -> None:
    config = replace(CONFIG, activation=activation, engine=BATCHED)
    together = training.train_many(config, (0, 5), digits)
    for seed in (0, 5):
        alone = training.train_in_memory(replace(config, engine="eager", seed=seed), digits)
        found = together[seed]
        assert isinstance(found, training.Trained)
        start = model.create(activation, config.dropout, derived_seed(seed, 0, "weights")).state_dict()
        assert nearness.drift(tensors(found), tensors(alone), start) < nearness.SAME
        other = together[5 - seed]
        assert isinstance(other, training.Trained)
        assert nearness.drift(tensors(other), tensors(alone), start) > 0.1  # the check can fail


def tensors(trained: training.Trained) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in trained.weights.items()}


@pytest.mark.cuda
def test_on_cuda_many_at_once_are_distributed_as_one_by_one(digits: data.Dataset) -> None:
    """Their masks come from other draws, so only the distributions can agree: means within their standard errors."""
    config = replace(CONFIG, device="cuda:0", epochs=5)
    seeds = tuple(range(16))
    together = training.train_many(replace(config, engine=BATCHED), seeds, digits)
    many = torch.tensor([one.final.test.accuracy for one in together.values() if isinstance(one, training.Trained)])
    alone = torch.tensor(
        [
            training.train_in_memory(replace(config, engine="eager", seed=seed), digits).final.test.accuracy
            for seed in seeds
        ]
    )
    error = (many.var() / len(many) + alone.var() / len(alone)).sqrt()
    assert (many.mean() - alone.mean()).abs() < 4 * error


def test_batched_networks_begin_as_single_ones(digits: data.Dataset) -> None:
    parts = training._session.on_device(digits, CONFIG)
    batched = _many.Seeds(CONFIG, (7,), parts)
    engine, _ = training._session.prepare(replace(CONFIG, seed=7), digits)
    for name, parameter in engine.network.named_parameters():
        assert torch.equal(batched.parameters[name][0], parameter)


def test_two_processes_share_a_study_and_come_to_what_one_comes_to(
    digits: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["study", "--dataset", "digits", "--seeds", "2", "--activation", "relu", "--epochs", "1", "--quiet"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, "-m", "mnist_bench", *arguments],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shared = store.load_study(tmp_path / "exports" / "study-digits")
    monkeypatch.setattr("mnist_bench.core.child.call", in_this_process)
    config = shared.config
    alone = run_study(study.new_study("study-digits", config, ("relu",), (0, 1), digits), digits, tmp_path / "alone")
    assert [numbers(one) for one in shared.results] == [numbers(one) for one in alone.results]


# The command


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--seeds", "3,5,3"), "3"),
        (("--seeds", "0"), "0 is not a number of seeds"),
        (("--seeds", "many"), "'many' is neither a number of seeds nor a list"),
        (("--dataset", "ghosts"), "no dataset 'ghosts'"),
        (("--engine", "steam"), "steam"),
        (("--engine", "batched", "--device", "cpu"), "batched"),
        (("--study", "../etc"), "not a plain name"),
        (("--resume", "--overwrite"), "exclude each other"),
    ],
)
def test_a_study_that_cannot_be_is_refused(
    arguments: tuple[str, ...], words: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("study", *arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_the_command_saves_shows_and_extends(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mnist_bench.core.child.call", in_this_process)
    own = ("study", "--dataset", "digits", "--epochs", 1, "--workers", 1, "--engine", "preallocated")
    assert run(*own, "--seeds", 1) == 0
    out = capsys.readouterr().out
    assert "study-digits" in out
    assert "preallocated" in out
    assert run(*own, "--seeds", 1) == 2
    assert "is already in exports" in capsys.readouterr().err
    others = ("--epochs", 2, "epochs was 1, not 2"), ("--engine", "eager", "engine was preallocated, not eager")
    for option, value, words in others:
        assert run("study", "--dataset", "digits", "--resume", option, value) == 2
        assert words in capsys.readouterr().err
    before = store.load_study(Path("exports/study-digits"))
    assert run("study", "--dataset", "digits", "--resume", "--seeds", 2, "--workers", 1, "--quiet") == 0
    after = store.load_study(Path("exports/study-digits"))
    assert after.seeds == (0, 1)
    assert after.results[0] == before.results[0]
    assert run("report", "--study", "study-digits", "--figures") == 0
    assert {path.stem for path in Path("exports/study-digits/figures").glob("*.svg")} == {
        "study-accuracies",
        "study-differences",
    }
    assert run("report", "--study", "study-digits", "--format", "json", "--table", "study-seeds") == 0
    assert '"study-digits: test accuracy of every seed"' in capsys.readouterr().out


def test_a_damaged_study_is_named(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("exports/study-digits/study.json")
    path.parent.mkdir(parents=True)
    for content in ('{"schema_version": 9}', "{", '{"schema_version": 2, "name": "x"}'):
        path.write_text(content, encoding="utf-8")
        assert run("report", "--study", "study-digits") == RecordDamaged.exit_code
        assert "study.json" in capsys.readouterr().err
        assert path.read_text(encoding="utf-8") == content
