import dataclasses
from pathlib import Path

import pytest

from mnist_bench import data, store, training
from mnist_bench.core import plugins
from mnist_bench.core.errors import BadInput, TargetUnavailable
from mnist_bench.core.kinds import Skipped
from mnist_bench.data import Images
from mnist_bench.training import engines
from mnist_bench.training.engines import onednn, sparse
from tests.conftest import Run


def test_the_default_is_exactly_the_protocol() -> None:
    for device in ("cpu", "cuda:0"):
        module = plugins.load(engines, training.default_engine(device).engine)
        assert module.PRECISION == "fp32"
        assert device.partition(":")[0] in module.DEVICES


def test_where_the_fastest_is_missing_the_next_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse, "why_unavailable", lambda: None)
    assert training.default_engine("cpu") == training.Choice("sparse", ())
    for module, name in ((sparse, "sparse"), (onednn, "onednn")):
        missing = Skipped(name, "it is not here", "take another")
        monkeypatch.setattr(module, "why_unavailable", lambda missing=missing: missing)
    chosen = training.default_engine("cpu")
    assert chosen.engine == "preallocated"
    assert chosen.passed_over == ("sparse: it is not here; take another", "onednn: it is not here; take another")
    assert "onednn" not in training.engines_for("cpu")
    with pytest.raises(TargetUnavailable, match="it is not here"):
        training.usable_engine("onednn", "cpu")


def test_the_choice_depends_on_how_many_pixels_are_lit(digits: data.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sparse, onednn):
        monkeypatch.setattr(module, "why_unavailable", lambda: None)
    dark = Images(digits.train.pixels * (digits.train.pixels > 200), digits.train.labels)
    assert training.default_engine("cpu", digits) == training.Choice("onednn", ())  # 70%
    assert training.default_engine("cpu", dataclasses.replace(digits, train=dark)) == training.Choice("sparse", ())


def test_an_engine_is_not_used_on_a_device_that_it_is_not_for() -> None:
    assert "onednn" not in training.engines_for("cuda:0")
    with pytest.raises(BadInput, match="engine 'onednn' does not run on cuda:0"):
        training.usable_engine("onednn", "cuda:0")


def test_the_record_and_the_screen_say_why_a_faster_engine_does_not_train(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = Skipped("sparse", "there is no C compiler", "install gcc")
    monkeypatch.setattr(sparse, "why_unavailable", lambda: missing)
    assert run("train", "--dataset", "digits", "--epochs", 1) == 0
    record = store.load_record(Path("exports/digits-relu"))
    assert (record.config.engine, record.passed_over) == ("onednn", ("sparse: there is no C compiler; install gcc",))
    out, err = capsys.readouterr()
    assert err.startswith("digits-relu: not trained by a faster engine, sparse: there is no C compiler; install gcc\n")
    assert "is not trained by a faster engine, sparse" in " ".join(out.split())
    assert run("study", "--dataset", "digits", "--epochs", 1, "--seeds", 1, "--activation", "relu") == 0
    assert store.load_study(Path("exports/study-digits")).passed_over == record.passed_over
    out, err = capsys.readouterr()
    assert "study-digits: not trained by a faster engine, sparse: there is no C compiler; install gcc\n" in err
    assert "Not trained by a faster engine, sparse" in " ".join(out.split())
    assert run("train", "--dataset", "digits", "--epochs", 1, "--engine", "eager", "--overwrite") == 0
    assert store.load_record(Path("exports/digits-relu")).passed_over == ()
