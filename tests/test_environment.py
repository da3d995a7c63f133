import pytest
import torch

from mnist_bench import environment
from mnist_bench.core.errors import BadInput, DeviceUnavailable
from mnist_bench.environment import _machine


def test_the_machine_is_described() -> None:
    found = environment.collect()
    assert found.cores >= 1
    assert found.memory_bytes > 1e8
    assert (
        found.libraries["torch"] == torch.__version__.partition("+")[0] or found.libraries["torch"] == torch.__version__
    )
    assert found.gpu is None


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "CPU", "", "cpu:0", "cuda0", "cuda:1:2"])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="choose auto, cpu, cuda or cuda:N"):
        environment.resolve_device(name)


@pytest.mark.parametrize(
    ("devices", "name", "expected"),
    [(0, "auto", "cpu"), (0, "cpu", "cpu"), (2, "auto", "cuda:0"), (2, "cuda", "cuda:0"), (2, "cuda:1", "cuda:1")],
)
def test_a_device_becomes_concrete(devices: int, name: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_machine, "_cuda_devices", lambda: devices)
    assert environment.resolve_device(name) == expected


@pytest.mark.parametrize(("devices", "name"), [(0, "cuda"), (0, "cuda:0"), (2, "cuda:2")])
def test_a_device_that_is_not_there_is_refused(devices: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_machine, "_cuda_devices", lambda: devices)
    with pytest.raises(DeviceUnavailable, match="use --device cpu or auto"):
        environment.resolve_device(name)


def test_a_library_that_is_not_installed_has_no_version() -> None:
    assert environment.library_version("no-such-distribution") is None
