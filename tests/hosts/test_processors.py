"""Processors as QEMU really shows them; ARM ones where a root has been made, in its user's own cache."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mnist_bench import data, hosts, parity
from mnist_bench.analysis import processors as by
from mnist_bench.core.errors import EnvironmentProblem
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import Check
from mnist_bench.hosts import _qemu, _root
from tests.conftest import Run
from tests.hosts.emulators import emulator

X86 = [name for name in hosts.processors() if hosts.processor(name).program == "qemu-x86_64"]
ARM = [name for name in hosts.processors() if hosts.processor(name).program == "qemu-aarch64"]
NO_QEMU = hosts.load("haswell").why_unavailable()
try:  # before a test hides the user's cache
    OWN, NO_ROOT = _root.folder(), hosts.load("cortex-a53").why_unavailable()
except EnvironmentProblem as error:
    OWN, NO_ROOT = Path("/nowhere"), Skipped("cortex-a53", str(error), "set HOME")
needs_qemu = pytest.mark.skipif(NO_QEMU is not None, reason=str(NO_QEMU))
needs_root = pytest.mark.skipif(NO_ROOT is not None, reason=str(NO_ROOT))
pytestmark = [pytest.mark.processors, pytest.mark.programs]


@pytest.fixture
def own_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_root, "folder", lambda: OWN)


def proved(name: str) -> tuple[tuple[str, ...], tuple[Check, ...]]:
    with hosts.started(hosts.processor(name).launch(""), None, hosts.Limits(200)) as worker:
        return hosts.prove(worker)


@needs_qemu
def test_x86_processors_have_what_they_are_called_after_and_give_the_known_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever kernels the user has chosen for the machine's own processor."""
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    for name in ("nehalem", "haswell"):
        features, checks = proved(name)
        assert hosts.processor(name).why_another(features) is None
        assert [one for one in checks if one.wrong] == []


@needs_root
def test_arm_processors_give_the_known_answers(own_root: None) -> None:
    for name, half in (("cortex-a53", False), ("neoverse-n1", True)):
        features, checks = proved(name)
        assert hosts.processor(name).why_another(features) is None
        assert ("asimdhp" in features) is half
        assert [one for one in checks if one.wrong] == []


@needs_qemu
def test_an_emulator_that_shows_another_processor_is_refused(
    light: Path, digits: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions of QEMU before 7.2 leave AVX out of a Haswell, and say nothing."""
    real, why_another = shutil.which("qemu-x86_64"), _qemu.Processor.why_another
    emulator(tmp_path, monkeypatch, f'shift 2; exec {real} -cpu Nehalem "$@"')
    monkeypatch.setattr(_qemu.Processor, "why_another", why_another)
    found = parity.verify_fleet(light, digits, parity.Plan(on=(hosts.Host("haswell"),)), lambda _: None)
    (processor,) = found.processors
    assert processor.refusal == "it lacks avx, avx2, f16c, fma, which such a processor has"
    assert {one.configuration.processor for one in found.results} == {""}  # this machine's own
    why = hosts.processor("sandybridge").why_another(["ssse3", "sse4_1", "sse4_2", "avx", "avx2"])
    assert why == "it has avx2, which no such processor has"


@needs_root
@pytest.mark.skipif("7.2." not in hosts.processor("arm-max").emulator(), reason="it is QEMU 7.2 whose SME is wrong")
def test_what_qemu_7_2_calls_max_is_refused(own_root: None) -> None:
    _, checks = proved("arm-max")
    assert [one.name for one in checks if one.wrong] == ["ONNX Runtime, int8-dynamic"]


@needs_root
def test_float32_on_arm_is_what_the_certificate_says(own_root: None, light: Path, digits: data.Dataset) -> None:
    plan = parity.Plan(on=(hosts.Host("cortex-a53"),), batch_sizes=(128,))
    found = parity.verify_fleet(light, digits, plan, lambda _: None)
    assert [one.failures for one in found.results] == [()] * 8
    assert found.unreachable == ()
    for one in by.on_processors(found):
        assert not by.lost(found, one, by.certified(found, one.configuration))


CROSS = pytest.mark.skipif(not shutil.which(_qemu.ARM_COMPILER), reason=f"there is no {_qemu.ARM_COMPILER}")


@pytest.mark.parametrize(
    "name", [pytest.param("nehalem", marks=needs_qemu), pytest.param("cortex-a53", marks=[needs_root, CROSS])]
)
def test_the_c_source_is_compiled_for_the_processor_and_gives_the_same_answers(
    name: str, own_root: None, exported: Path, digits: data.Dataset
) -> None:
    plan = parity.Plan(runtimes=("c",), on=(hosts.Host(name),))
    found = parity.verify_fleet(exported, digits, plan, lambda _: None)
    assert found.unreachable == ()
    there = list(by.on_processors(found))
    assert {one.configuration.precision for one in there} == {"fp32", "int8"}
    for one in there:
        assert one.failures == ()
        assert by.certified(found, one.configuration)
        assert not by.lost(found, one, by.certified(found, one.configuration))
        assert by.native_flips(found, one) == []


@needs_root
def test_c_without_a_compiler_for_arm_is_skipped_with_what_brings_it(
    own_root: None, exported: Path, digits: data.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_qemu, "ARM_COMPILER", "none-for-arm-gcc")
    plan = parity.Plan(runtimes=("c",), on=(hosts.Host("cortex-a53"),))
    found = parity.verify_fleet(exported, digits, plan, lambda _: None)
    assert not list(by.on_processors(found))
    assert {one.reason for one in found.unreachable} != set()
    assert all("there is no C compiler none-for-arm-gcc" in one.reason for one in found.unreachable)


@needs_root
def test_a_command_of_the_root_runs_on_arm(
    own_root: None, light: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = Path(__file__).parents[2] / "examples" / "engine.py"
    words = ("verify", "--out", light.parent, "--run", light.name, "--format", "weights", "--cpu", "cortex-a53")
    assert run(*words, "--command", f"python3 {engine} {{model}}", "--quiet") == 0
    assert run(*words, "--command", "/bin/sh {model}") == 2
    assert "made for another kind of processor" in capsys.readouterr().err


def test_hosts_are_listed_with_what_they_lack(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("hosts", "--format", "csv") == 0
    lines = capsys.readouterr().out
    for name in (*X86, *ARM, "here"):
        assert f"\n{name}," in lines
    assert lines.count("mnist-bench hosts --install") + lines.count("apt-get install qemu-user") >= len(ARM)
    assert "command" not in [line.partition(",")[0] for line in lines.splitlines()]


def test_what_cannot_be_installed_is_said(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, code in (("frob", 2), ("haswell", 2)):
        assert run("hosts", "--install", name) == code
        assert name in capsys.readouterr().err
    monkeypatch.setenv("PATH", "/nowhere")
    assert run("hosts", "--install", "cortex-a53") == 3
    assert "no apt-get" in capsys.readouterr().err


@pytest.mark.parametrize("name", ARM)
def test_arm_programs_see_a_cpuinfo_of_their_own(name: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr").mkdir(parents=True)
    made = hosts.processor(name).sysroot(root).made(tmp_path / "sysroot")
    lines = (made / "proc" / "cpuinfo").read_text(encoding="ascii").splitlines()
    assert "CPU implementer\t: 0x41" in lines
    assert any(line.startswith("CPU part\t: 0xd") for line in lines)
    assert (made / "usr").resolve() == root / "usr"


def test_every_emulated_host_is_called_what_its_file_is_and_never_timed() -> None:
    for name in hosts.processors():
        module = hosts.load(name)
        assert hosts.processor(name).name == name
        assert (module.TIMED, module.ARGUMENT) == (False, False)
    assert np.unique([hosts.processor(name).model for name in hosts.processors()]).size == len(hosts.processors())
