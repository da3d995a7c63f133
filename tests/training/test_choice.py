import pytest

from mnist_bench import training
from mnist_bench.core import plugins
from mnist_bench.core.errors import BadInput, TargetUnavailable
from mnist_bench.core.kinds import Skipped
from mnist_bench.training import engines
from mnist_bench.training.engines import onednn


def test_the_default_is_exactly_the_protocol() -> None:
    for device in ("cpu", "cuda:0"):
        module = plugins.load(engines, training.default_engine(device))
        assert module.PRECISION == "fp32"
        assert device.partition(":")[0] in module.DEVICES


def test_where_the_fastest_is_missing_the_next_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "why_unavailable", lambda: Skipped("onednn", "it is not here", "take another"))
    assert training.default_engine("cpu") == "preallocated"
    assert "onednn" not in training.engines_for("cpu")
    with pytest.raises(TargetUnavailable, match="it is not here"):
        training.usable_engine("onednn", "cpu")


def test_an_engine_is_not_used_on_a_device_that_it_is_not_for() -> None:
    assert "onednn" not in training.engines_for("cuda:0")
    with pytest.raises(BadInput, match="engine 'onednn' does not run on cuda:0"):
        training.usable_engine("onednn", "cuda:0")
