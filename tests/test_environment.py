import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import torch

from mnist_bench import environment
from mnist_bench.core.errors import BadInput, DeviceUnavailable
from mnist_bench.environment import Usage, _conditions, _machine


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


def test_what_others_do_is_told_from_what_we_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """On two cores, in ten seconds: 12 s were used in all, 7 of them by us, and 1 s went to another guest."""
    monkeypatch.setattr(_conditions, "used", lambda: Usage(112.0, 6.0, 37.0, 1010.0))
    monkeypatch.setattr(_conditions, "affinity", lambda: (0, 5))
    busy, steal = environment.usage_since(Usage(100.0, 5.0, 30.0, 1000.0))
    assert (busy, steal) == (0.25, 0.05)


def test_only_the_cores_that_we_may_use_count(monkeypatch: pytest.MonkeyPatch) -> None:
    core = namedtuple("core", "user system idle iowait steal guest")
    times = [core(1, 2, 100, 50, 4, 0), core(1000, 1000, 1000, 0, 1000, 0), core(10, 20, 100, 0, 8, 5)]
    monkeypatch.setattr("psutil.cpu_times", lambda percpu: times)
    monkeypatch.setattr(_conditions, "affinity", lambda: (0, 2))
    found = environment.used()
    assert (found.all_s, found.steal_s) == (1 + 2 + 10 + 20, 12)


def test_our_own_work_and_our_children_s_is_not_called_others() -> None:
    before = environment.used()
    subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    after = environment.used()
    assert after.ours_s - before.ours_s > 0.05
    assert after.all_s >= before.all_s


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ({"model name": "AMD EPYC", "cpu family": "25", "model": "17"}, "AMD EPYC (family 25, model 17)"),
        ({"model name": "AMD EPYC 9R14", "cpu family": "25", "model": "17"}, "AMD EPYC 9R14"),
        ({"model name": "Abacus"}, "Abacus"),
        ({}, None),
    ],
)
def test_a_name_that_could_be_any_processor_s_is_told_apart(cpuinfo: dict[str, str], name: str | None) -> None:
    assert _machine.processor(cpuinfo) == name


def test_the_conditions_are_those_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_conditions, "LOOK_S", 0.01)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    found = environment.conditions()
    assert len(found.affinity) == environment.available_cores()
    assert found.variables["OMP_NUM_THREADS"] == "2"
    assert (found.commit is None) == (found.dirty is None)
    assert found.gpu == {}


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023", "535.104.05"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (root)", "580.159.04"),
        ("NVRM version: none\nGCC version:  gcc version 13.3.0", None),
    ],
)
def test_the_driver_s_version_is_read_in_either_wording(text: str, version: str | None) -> None:
    assert _machine.driver_version(text) == version


def distribution(folder: Path, name: str, content: bytes, *requires: str) -> None:
    """Install a distribution of one file, as pip leaves it."""
    (folder / f"{name}.py").write_bytes(content)
    described = folder / f"{name}-1.0.dist-info"
    described.mkdir()
    lines = [f"Requires-Dist: {line}" for line in requires]
    metadata = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *lines])
    (described / "METADATA").write_text(f"{metadata}\n", encoding="utf-8")
    (described / "RECORD").write_text(f"{name}.py,sha256=0,{len(content)}\n{name}-1.0.dist-info/RECORD,,\n")


def test_what_a_distribution_takes_is_it_and_all_that_it_requires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(tmp_path, "abacus", b"#" * 100, "beads", "counting; extra == 'more'", 'wood; sys_platform == "never"')
    distribution(tmp_path, "beads", b"#" * 10, "abacus>=1")  # which requires it in turn
    distribution(tmp_path, "lame", b"#", "nowhere-to-be-found")
    monkeypatch.syspath_prepend(tmp_path)
    environment.installed_bytes.cache_clear()
    assert environment.installed_bytes("abacus") == 110
    assert environment.installed_bytes("beads", "abacus") == 110
    assert environment.installed_bytes() == 0
    assert environment.installed_bytes("lame") is None
    (tmp_path / "beads-1.0.dist-info" / "RECORD").unlink()
    environment.installed_bytes.cache_clear()
    assert environment.installed_bytes("abacus") is None


def grouped(folder: Path, own: str, **files: str) -> tuple[Path, Path]:
    """Write control groups: `own` is what the system tells of this process, `files` are contents by path."""
    root = folder / "cgroup"
    root.mkdir()
    (folder / "own").write_text(own)
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(path.name.replace("_dot_", ".")).write_text(content)
    return root, folder / "own"


@pytest.mark.parametrize(
    ("own", "files", "quota"),
    [
        ("0::/\n", {"cpu_dot_max": "100000 100000\n"}, 1.0),
        ("0::/\n", {"cpu_dot_max": "max 100000\n"}, None),
        ("0::/a/b\n", {"a__b__cpu_dot_max": "max 100000\n", "a__cpu_dot_max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a__b__cpu_dot_max": "50000 100000\n", "a__cpu_dot_max": "150000 100000\n"}, 0.5),
        ("0::/of/the/host\n", {"cpu_dot_max": "200000 100000\n"}, 2.0),
        ("4:cpu:/x\n", {"cpu__x__cpu_dot_cfs_quota_us": "25000\n", "cpu__x__cpu_dot_cfs_period_us": "50000\n"}, 0.5),
        ("4:cpu:/x\n", {"cpu__x__cpu_dot_cfs_quota_us": "-1\n", "cpu__x__cpu_dot_cfs_period_us": "50000\n"}, None),
        ("7:memory:/x\n", {"cpu_dot_max": "100000 100000\n"}, None),
        ("", {}, None),
        ("0::/\n", {"cpu_dot_max": "what 0\n"}, None),
    ],
)
def test_a_quota_is_read_as_the_system_tells_it(
    tmp_path: Path, own: str, files: dict[str, str], quota: float | None
) -> None:
    assert environment.cpu_quota(*grouped(tmp_path, own, **files)) == quota


def test_periods_of_waiting_are_counted(tmp_path: Path) -> None:
    files = {"cpu_dot_stat": "usage_usec 5\nnr_periods 9\nnr_throttled 7\n"}
    assert environment.throttled_periods(*grouped(tmp_path, "0::/\n", **files)) == 7


@pytest.mark.parametrize(("quota", "cores"), [(None, 4), (1.0, 1), (1.5, 1), (0.25, 1), (2.0, 2), (64.0, 4)])
def test_a_quota_counts_as_cores(monkeypatch: pytest.MonkeyPatch, quota: float | None, cores: int) -> None:
    monkeypatch.setattr(_machine, "cpu_quota", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    assert environment.available_cores() == cores
    assert environment.collect().cpu_quota == quota


@pytest.mark.parametrize(("said", "threads"), [("1", 1), ("2,1", 2), ("99", 4), ("", 4), ("many", 4), ("0", 4)])
def test_threads_are_those_that_the_user_s_environment_names(
    monkeypatch: pytest.MonkeyPatch, said: str, threads: int
) -> None:
    monkeypatch.setattr(_machine, "available_cores", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert environment.default_threads() == threads
