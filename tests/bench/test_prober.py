"""The probe of the machine's limits: its shape and its arithmetic; no rate is asserted."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from mnist_bench.bench import prober
from mnist_bench.bench._messages import ProbeRequest
from mnist_bench.core.architecture import operations


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prober, "LOOK_S", 0.0)
    monkeypatch.setattr(prober, "BYTES", (4096, 8192))
    monkeypatch.setattr(prober, "LARGE", (64, 64, 64))
    monkeypatch.setattr(prober, "SHAPES", {prober.TRAINING: ((4, 5, 6),), "large": ((8, 8, 8),)})


@pytest.mark.usefixtures("hurried")
def test_every_number_of_threads_has_all_its_limits() -> None:
    threads = torch.get_num_threads()
    try:
        found = prober.probe(ProbeRequest("cpu", (1, 2))).limits
    finally:
        torch.set_num_threads(threads)
    assert [one.threads for one in found] == [1, 2]
    for one in found:
        assert {(rate.purpose, rate.precision) for rate in one.matrix_rates} == {
            (purpose, precision) for purpose in (prober.TRAINING, "large") for precision in ("fp32", "bf16")
        }
        assert {(entry.access, entry.size_bytes) for entry in one.bandwidths} == {
            (access, size) for access in ("read", "copy") for size in (4096, 8192)
        }
        assert 0 < one.timer_s < 1e-4


def test_the_libraries_tell_how_they_were_built() -> None:
    found = prober.builds()
    assert found.keys() == {"torch BLAS", "torch oneDNN", "torch instructions", "numpy BLAS"}
    assert all(found.values())


@pytest.mark.usefixtures("hurried")
def test_a_rate_is_operations_over_the_time_of_the_fastest_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[float] = []

    def seconds(run: Callable[[], object], _device: str, _share: float = 1.0) -> float:
        taken.clear()
        run()
        return sum(taken) or 1.0

    monkeypatch.setattr(prober, "best", seconds)
    monkeypatch.setattr(prober, "_ways", lambda *_, **__: [partial(taken.append, cost) for cost in (0.5, 0.25, 0.75)])
    (found,) = prober.probe(ProbeRequest("cpu", (torch.get_num_threads(),))).limits
    rates = {(rate.purpose, rate.precision): rate.flop_per_s for rate in found.matrix_rates}
    assert rates[(prober.TRAINING, "fp32")] == operations(((4, 5, 6),)) / 0.25
    assert rates[("large", "bf16")] == operations(((8, 8, 8),)) / 0.25


def test_all_ways_to_multiply_agree_and_only_constant_weights_are_packed() -> None:
    left, weight = torch.randn(16, 64), torch.randn(32, 64)
    trained, constant = (prober._ways(left, weight, constant=one) for one in (False, True))
    assert len(constant) - len(trained) == hasattr(torch.ops.mkldnn, "_linear_pointwise")
    for way in constant:
        torch.testing.assert_close(way(), left @ weight.t())


def test_the_best_of_many_runs_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    lengths = iter([9.0, 3.0, 1.0, 2.0, 5.0, *[4.0] * 1_000])

    def run() -> None:
        now[0] += next(lengths)

    monkeypatch.setattr(prober, "LOOK_S", 20.0)
    monkeypatch.setattr(prober, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    assert prober.best(run, "cpu") == 1.0


@pytest.mark.cuda
@pytest.mark.usefixtures("hurried")
def test_cuda_s_limits_have_every_precision() -> None:
    (found,) = prober.probe(ProbeRequest("cuda:0", (1,))).limits
    assert {rate.precision for rate in found.matrix_rates} == {"fp32", "tf32", "bf16"}
