"""Comparisons by processor, on emulators that are none: what they show is this machine's own, or broken on purpose."""

import json
import platform
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from msgspec.structs import replace

import mnist_bench.report as report
from mnist_bench import data, hosts, parity, store
from mnist_bench.analysis import processors as by
from mnist_bench.core.types import Beside, FleetRecord, Sample
from mnist_bench.parity import _sample, _visit
from mnist_bench.parity._inputs import build_inputs
from tests.conftest import Run
from tests.hosts.emulators import HONEST, emulator, lying_about
from tests.test_importing import with_borders

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="x86 processors are shown to this very Python")
NAMES = ("nehalem", "haswell")


def compared(folder: Path, digits: data.Dataset, *names: str, **settings: object) -> FleetRecord:
    on = tuple(hosts.Host(name) for name in names)
    plan = parity.Plan(on=on, batch_sizes=parity.BATCH_SIZES, **settings)  # type: ignore[arg-type]
    return parity.verify_fleet(folder, digits, plan, lambda _: None)


@pytest.fixture
def mine(light: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(light, tmp_path / "exports" / light.name))


def test_processors_that_are_this_one_give_its_bits(
    light: Path, digits: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator(tmp_path, monkeypatch, HONEST)
    found = compared(light, digits, *NAMES)
    assert [one.refusal for one in found.processors] == [None, None]
    assert all(one.checks and one.emulator == "qemu-x86_64 0.1" for one in found.processors)
    assert [one.failures for one in found.results] == [()] * 12
    on = list(by.on_processors(found))
    assert {(one.configuration.precision, one.configuration.processor) for one in on} == {
        (precision, name) for precision in ("fp32", "fp16", "int8", "int8-dynamic") for name in NAMES
    }
    assert all(by.same_bits(one) and not by.native_flips(found, one) for one in on)
    assert all(one.sample is None and one.configuration.target.endswith(f"on {one.configuration.host}") for one in on)
    assert found.skipped == ()


def test_an_emulator_that_computes_otherwise_is_refused_and_harms_no_other(
    mine: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator(tmp_path, monkeypatch, lying_about("Haswell", tmp_path))
    asked = ("verify", "--run", mine.name, "--cpu", "haswell,nehalem", "--json", "found.json")
    assert run(*asked) == 3
    told = capsys.readouterr()
    assert "haswell: qemu-x86_64 0.1 is refused: known answers come out wrong" in told.err.splitlines()[-1]
    found = json.loads(Path("found.json").read_text(encoding="utf-8"))
    assert {one["configuration"]["processor"] for one in found["results"]} == {"", "nehalem"}
    assert [one["refusal"] is None for one in found["processors"]] == [False, True]


def test_where_all_are_asked_a_refused_one_is_skipped(
    mine: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator(tmp_path, monkeypatch, lying_about("Haswell", tmp_path))
    assert run("verify", "--run", mine.name, "--cpu", "all", "--quiet") == 0
    found = store.load(mine, FleetRecord)
    assert found
    assert [one.name for one in by.refused(found)] == ["haswell"]
    assert {"haswell", "cortex-a53"} <= {one.target for one in found.skipped}
    assert run("report", "--run", mine.name, "--html") == 0
    page = (mine / "report.html").read_text(encoding="utf-8")
    assert "Does it answer the same everywhere?" in page
    assert "haswell was left out: known answers come out wrong" in page
    assert "--cpu all" not in page
    assert run("report", "--run", mine.name, "--table", "by-processor", "--format", "csv") == 0
    assert "nehalem" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("kill -SEGV $$", "SIGSEGV"),
        ("exec sleep 600", "took longer than 3 s"),
        ("echo hello", "does not speak the protocol"),
        ("exit 7", "ended with status 7"),
    ],
)
def test_emulators_that_crash_hang_or_talk(
    mine: Path,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    body: str,
    said: str,
) -> None:
    emulator(tmp_path, monkeypatch, f'if [ "$2" = Haswell ]; then {body}; exit; fi\nexit 9')
    assert run("verify", "--run", mine.name, "--cpu", "haswell", "--time-limit", "3", "--quiet") == 3
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "haswell: qemu-x86_64 0.1 is refused: it cannot be checked: " in line
    assert said in line
    assert run("verify", "--run", mine.name, "--cpu", "all", "--time-limit", "3", "--quiet") == 3
    assert "no emulated processor counts" in capsys.readouterr().err


def test_what_cannot_be_asked_for_is_said_before_any_work(
    mine: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, code, said in (
        (("--cpu", "frob"), 2, "no 'frob' among the processors: choose from all, "),
        (("--cpu", "here"), 2, "no 'here' among the processors"),
        (("--cpu", "haswell,"), 2, "a name is empty"),
        (("--cpu", "haswell", "--host", "here"), 2, "leave out --host"),
        (("--cpu", "haswell", "--device", "cuda"), 2, "leave out --device"),
        (("--cpu", "cortex-a53"), 3, "mnist-bench hosts --install cortex-a53"),
    ):
        assert run("verify", "--run", mine.name, *words) == code
        assert said in " ".join(capsys.readouterr().err.split()), words
    monkeypatch.setenv("PATH", "/nowhere")
    for name in ("haswell", "all"):
        assert run("verify", "--run", mine.name, "--cpu", name) == 3
        assert "apt-get install qemu-user" in capsys.readouterr().err


def test_a_processor_with_this_machine_s_own_sets_must_give_its_bits(
    light: Path, digits: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator(tmp_path, monkeypatch, HONEST)
    found = compared(light, digits, "haswell", runtimes=("onnxruntime",))
    (shown,) = found.processors
    own = replace(found.environment, instructions=shown.instructions)
    monkeypatch.setattr("mnist_bench.environment.collect", lambda: own)
    on = list(by.on_processors(found))
    kept = _visit._without_refused(_visit.Visit(shown, list(on)))
    assert kept.processor.refusal is None
    (native,) = [one.native for one in on[:1]]
    assert native
    odd = replace(on[0], native=replace(native, same_bits=native.same_bits - 1))
    refused = _visit._without_refused(_visit.Visit(shown, [odd, *on[1:]]))
    assert "this machine's own instruction sets, and other bits" in str(refused.processor.refusal)
    assert refused.results == []
    other = replace(shown, instructions=("sse4_1",))
    assert _visit._without_refused(_visit.Visit(other, [odd])).processor.refusal is None


def test_a_command_runs_on_a_processor(
    mine: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    emulator(tmp_path, monkeypatch, HONEST)
    engine = Path(__file__).parents[2] / "examples" / "engine.py"
    words = ("verify", "--run", mine.name, "--format", "weights", "--cpu", "haswell", "--json", "-")
    assert run(*words, "--command", f"{sys.executable} {engine} {{model}}") == 0
    found = json.loads(capsys.readouterr().out)
    (result,) = found["results"]
    assert result["configuration"]["processor"] == "haswell"
    assert result["configuration"]["host"].endswith("engine on haswell")
    assert result["native"] is None
    assert not (mine / "processors.json").exists()
    for command, said in (
        (f"{engine} {{model}}", "name its interpreter before it"),
        ("no-such-program {model}", "there is no program"),
        ("./nowhere {model}", "cannot be read"),
    ):
        assert run(*words, "--command", command) == 2
        assert said in capsys.readouterr().err


def test_a_file_from_elsewhere_is_compared_by_processor(
    mine: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator(tmp_path, monkeypatch, HONEST)
    Path("other.onnx").write_bytes((mine / "model-int8.onnx").read_bytes())
    words = ("verify", "--run", mine.name, "--cpu", "haswell", "--model", "other.onnx")
    assert run(*words, "--precision", "int8", "--quiet") == 0
    Path("other.onnx").write_bytes(b"nothing")
    assert run(*words, "--quiet") == 2
    assert "is text, and no model" in capsys.readouterr().err
    assert not (mine / "processors.json").exists()


@pytest.mark.parametrize("taken", [onnx.TensorProto.FLOAT16, onnx.TensorProto.UINT8], ids=["float16", "uint8"])
def test_borders_of_a_file_from_elsewhere_are_known_on_a_processor(
    taken: int, mine: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers that are rounded to float16 are compared as such, and pixels with what their type can hold."""
    emulator(tmp_path, monkeypatch, HONEST)
    record = store.load_record(mine)
    assert record.checkpoint
    model = with_borders(store.load_weights(mine, record.checkpoint.weights), taken, onnx.TensorProto.FLOAT16)
    onnx.save(model, "other.onnx")
    assert run("verify", "--run", mine.name, "--cpu", "haswell", "--model", "other.onnx", "--quiet") == 0


# Samples


@pytest.fixture
def inputs(light: Path, digits: data.Dataset) -> parity.Inputs:
    return build_inputs(digits, parity.weights_of(light, store.load_record(light)))


def test_a_sample_has_the_nearest_images_and_is_the_same_every_time(inputs: parity.Inputs) -> None:
    tests = len(inputs.labels)
    chosen = _sample.rows(inputs, 60)
    np.testing.assert_array_equal(chosen, _sample.rows(inputs, 60))
    asked = chosen[chosen < tests]
    assert len(asked) == 60
    assert (np.diff(chosen) > 0).all()
    assert set(range(tests, len(inputs.images))) <= set(chosen.tolist())
    nearest = np.argsort(inputs.bounds.margins[:tests])[:30]
    assert set(nearest.tolist()) <= set(asked.tolist())
    assert len(_sample.rows(inputs, tests)) == len(inputs.images)
    part = inputs.only(chosen)
    assert part.tolerance == inputs.tolerance
    assert len(part.bounds.certified) == len(part.images)


def test_how_many_images_are_asked_follows_from_the_time(
    inputs: parity.Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sample, "SAMPLES", (200, 100, 50))
    ticks = iter(range(10_000))
    monkeypatch.setattr("time.monotonic", lambda: float(next(ticks)))  # a pilot takes a second

    class Session:
        def run(self, images: object, batch_size: int) -> None:
            assert batch_size <= _sample.PILOT

    tests = len(inputs.labels)
    for due_s, expected in ((tests / _sample.PILOT, tests), (200 / _sample.PILOT, 200), (0.5, 50), (-9.0, 50)):
        assert _sample.affordable(Session(), inputs, 512, due_s) == expected  # type: ignore[arg-type]


def test_a_sample_is_compared_with_the_same_images_here_and_said(
    mine: Path, digits: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator(tmp_path, monkeypatch, HONEST)
    monkeypatch.setattr(_sample, "SAMPLES", (100, 50))
    monkeypatch.setattr(_visit, "affordable", lambda *_: 100)
    found = compared(mine, digits, "haswell")
    on = list(by.on_processors(found))
    assert len(on) == 4
    for one in on:
        assert one.sample
        assert len(one.sample.images) == 100
        assert by.same_bits(one)  # also of int8-dynamic, whose scale is that of a batch
    store.save(mine, found)
    assert store.load(mine, FleetRecord) == found
    options = report.ViewOptions()
    tables = {table.title: table for table in report.fleet_tables(found, options)}
    notes = " ".join(tables["digits-relu by processor"].notes)
    assert "half are those with the smallest margins" in notes
    assert "(100)" in notes
    assert "never timed" in notes


# Records


def test_records_that_contradict_themselves_are_refused(
    light: Path, digits: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator(tmp_path, monkeypatch, HONEST)
    found = compared(light, digits, "haswell")
    result = next(by.on_processors(found))
    for images in ((), (3, 3), (5, 4)):
        with pytest.raises(ValueError, match="a sample of"):
            Sample(seed=0, images=images)
    with pytest.raises(ValueError, match="more images alike"):
        Beside(images=3, same_bits=3, flips=(1,), largest_difference=0.0)
    refused = replace(found.processors[0], refusal="it lies")
    with pytest.raises(ValueError, match="a processor that is none, or was refused"):
        replace(found, processors=(refused,))
    beyond = replace(result, sample=Sample(seed=0, images=(len(found.labels),)))
    with pytest.raises(ValueError, match="not asked"):
        replace(found, results=(beyond,))


def test_what_is_certified_is_told_by_precision(
    light: Path, digits: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator(tmp_path, monkeypatch, HONEST)
    found = compared(light, digits, "haswell")
    assert len(by.certified_in_float(found)) == found.certificate.certified
    proved = {one.configuration.precision: len(by.certified(found, one.configuration)) for one in found.results}
    of_quantised = {one.precision: one.certified for one in found.quantised}
    assert proved == {"fp32": found.certificate.certified, "fp16": 0, **of_quantised}
    assert {*of_quantised} == {"int8", "int8-dynamic"}
    groups = by.by_file(found)
    assert all(results[0].configuration.processor == "" for results in groups.values())
    flipped = replace(found.results[0], deviations=(), correct=found.reference_correct, native=None, sample=None)
    assert by.same_bits(flipped) is None
