"""What follows a training is done once, goes on where it stopped, and hides nothing."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mnist_bench import data, formats, parity, store, workflow
from mnist_bench.bench import session
from mnist_bench.core.bench_types import InferenceBenchRecord
from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import MeasurementFailed, ParityBroken, Unanswered
from mnist_bench.core.events import Event, StageEnded
from mnist_bench.core.types import Absent, Artifact, Emulated, FleetRecord, Manifest, ParityRecord, ParityResult, Record
from tests.bench import made
from tests.conftest import Run, made_once

QUICK = workflow.Settings(quick=True, device="cpu", data_dir=None, allow_busy=True)


def make_up_benchmarks(patch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Let benchmarks take no time; return what will have been asked of them."""
    asked: list[Sequence[str]] = []

    def bench(kind: Any, subject: session.Subject, plan: Any, on_event: Any, **options: Any) -> InferenceBenchRecord:
        asked.append(plan.targets)
        assert subject.record.checkpoint
        found = made.record([made.row([1e-5] * plan.blocks)], plan=plan)
        found = msgspec.structs.replace(
            found,
            name=subject.record.name,
            weights_sha256=subject.record.checkpoint.weights.sha256,
            rows=(),
        )
        store.save_finished(subject.folder, found)
        return found

    patch.setattr(session, "bench", bench)
    return asked


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    return make_up_benchmarks(monkeypatch)


@pytest.fixture(scope="session")
def done(shared: Path, exported: Path, digits: data.Dataset) -> tuple[Path, dict[str, str]]:
    """A run after which all was done, but for the benchmark, to read and never to write; and what was said of it."""
    said = shared / "done" / "remarks.json"

    def make(folder: Path) -> None:
        shutil.copytree(exported, folder)
        with pytest.MonkeyPatch.context() as patch:
            make_up_benchmarks(patch)
            remarks, errors = finished(folder, digits)
        assert errors == []
        said.write_bytes(msgspec.json.encode(remarks))

    folder = made_once(said.with_name(exported.name), make)
    return folder, msgspec.json.decode(said.read_bytes(), type=dict[str, str])


@pytest.fixture
def own_done(done: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which to verify again says the same, at once."""
    found = store.load(done[0], ParityRecord)
    assert found
    monkeypatch.setattr(parity, "verify", lambda *_: found)
    return Path(shutil.copytree(done[0], tmp_path / "exports" / "digits-relu"))


def finished(
    folder: Path, digits: data.Dataset, settings: workflow.Settings = QUICK
) -> tuple[dict[str, str], list[Exception]]:
    """Finish a run, without the formats that cannot be written here: of those it says every time that they lack."""
    events: list[Event] = []
    here = tuple(name for name in formats.names() if formats._module(name).why_unavailable() is None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "names", lambda: here)
        errors = workflow.finish(folder, store.load_record(folder), digits, settings, events.append)
    return {event.stage: event.remark for event in events if isinstance(event, StageEnded)}, list(errors)


def test_what_is_done_is_not_done_again(
    own_done: Path,
    done: tuple[Path, dict[str, str]],
    digits: data.Dataset,
    measured: list[Sequence[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remarks = done[1]
    assert remarks["export"] == "nothing was lacking"
    assert remarks["verify"].endswith("targets passed")
    monkeypatch.setattr(parity, "verify", lambda *_: pytest.fail("it was verified again"))
    remarks, errors = finished(own_done, digits)
    assert errors == []
    assert remarks["verify"].endswith("passed before")
    assert remarks["bench"].endswith("before")
    assert measured == []
    (own_done / "bench.json").unlink()
    assert finished(own_done, digits)[1] == []
    assert measured == [("onnxruntime", "torch-eager", "torchscript", "null")]


@pytest.mark.parametrize("same", [True, False])
def test_only_the_file_that_is_lacking_is_exported_and_all_are_verified_again_if_it_is_another(
    same: bool, own_done: Path, digits: data.Dataset, measured: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = store.load(own_done, Manifest)
    assert manifest
    kept = {entry.name: entry for entry in manifest.artifacts if entry.format != "torchscript"}
    (gone,) = [entry for entry in manifest.artifacts if entry.name not in kept]
    store.save(own_done, msgspec.structs.replace(manifest, artifacts=tuple(kept.values())))
    asked = []

    def export(folder: Path, record: Record, name: str, **options: Any) -> Artifact:
        asked.append((name, options["precision"]))
        content = (folder / gone.name).read_bytes() + (b"" if same else b"\0")
        (folder / gone.name).write_bytes(content)
        new = msgspec.structs.replace(gone, sha256=sha256(content), size_bytes=len(content))
        store.save(folder, msgspec.structs.replace(manifest, artifacts=(*kept.values(), new)))
        return new

    monkeypatch.setattr(formats, "export", export)
    remarks, _ = finished(own_done, digits)
    assert asked == [("torchscript", "fp32")]
    assert remarks["export"] == "1 files"
    assert remarks["verify"].endswith("before") == same


def test_what_is_damaged_or_narrower_is_made_again(
    own_done: Path, digits: data.Dataset, measured: list[Sequence[str]]
) -> None:
    found = store.load(own_done, ParityRecord)
    assert found
    narrow = tuple(result for result in found.results if result.configuration.batch_size == 1)
    store.save(own_done, msgspec.structs.replace(found, results=narrow))
    assert not finished(own_done, digits)[0]["verify"].endswith("before")

    (own_done / "parity.json").write_text("{")
    (own_done / "bench.json").write_text("{")
    remarks, errors = finished(own_done, digits)
    assert errors == []
    assert not remarks["verify"].endswith("before")
    assert len(measured) == 1

    manifest = store.load(own_done, Manifest)
    assert manifest
    lost = own_done / next(entry.name for entry in manifest.artifacts if entry.format == "torchscript")
    lost.unlink()
    remarks, errors = finished(own_done, digits)
    assert errors == []
    assert remarks["export"] == "1 files"
    assert lost.exists()


def test_what_is_left_out_is_said(done: tuple[Path, dict[str, str]]) -> None:
    compared, benchmark = store.load(done[0], ParityRecord), store.load(done[0], InferenceBenchRecord)
    assert compared
    assert benchmark
    for skipped in (compared.skipped, benchmark.skipped):
        left = {entry.target for entry in skipped if entry.reason == workflow.LEFT_OUT}
        assert {"torch-compile", "aotinductor"} <= left


def test_a_failure_is_handed_back_and_the_rest_is_done(
    own_done: Path, digits: data.Dataset, measured: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = parity.verify
    (own_done / "parity.json").unlink()
    (own_done / "bench.json").unlink()

    def broken(*arguments: Any) -> ParityRecord:
        found = verify(*arguments)
        first = msgspec.structs.replace(found.results[0], failures=("it is wrong",))
        return msgspec.structs.replace(found, results=(first, *found.results[1:]))

    monkeypatch.setattr(parity, "verify", broken)
    remarks, errors = finished(own_done, digits)
    assert [type(error) for error in errors] == [ParityBroken]
    assert remarks["verify"].startswith("failed: ")
    assert len(measured) == 1
    saved = store.load(own_done, ParityRecord)
    assert saved
    assert saved.results[0].failures  # the page shows it


def stages(monkeypatch: pytest.MonkeyPatch, outcome: Callable[[], list[Any]]) -> None:
    monkeypatch.setattr(workflow, "finish", lambda *_: outcome())


def test_the_command_says_where_the_page_is(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stages(monkeypatch, list)
    own = ("run", "--dataset", "digits", "--epochs", 1, "--activation", "both", "--quick")
    assert run(*own) == Unanswered.exit_code
    said = capsys.readouterr().out
    unknown = "not verified, so nothing is known of its runtimes"
    assert said.splitlines()[:3] == [f"NOT KNOWN  digits-relu: {unknown}", f"NOT KNOWN  digits-sigmoid: {unknown}", ""]
    assert said.splitlines()[-1] == "Page: exports/digits-relu/report.html"
    assert "Test accuracy" in said
    page = Path("exports/digits-relu/report.html").read_text(encoding="utf-8")
    assert "Not here: parity of digits-sigmoid" in page.replace("<strong>", "")
    trained = Path("exports/digits-relu/run.json").read_bytes()
    assert run(*own, "--quiet") == Unanswered.exit_code
    assert Path("exports/digits-relu/run.json").read_bytes() == trained
    assert run(*own, "--seed", 1) == 2
    assert "seed was 0, not 1" in capsys.readouterr().err


def test_the_exit_code_is_that_of_a_failed_check_and_the_page_is_there(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stages(monkeypatch, lambda: [MeasurementFailed("nothing could be measured"), ParityBroken("one is wrong")])
    assert run("run", "--dataset", "digits", "--epochs", 1) == ParityBroken.exit_code
    assert Path("exports/digits-relu/report.html").exists()
    assert "nothing could be measured; one is wrong" in capsys.readouterr().err


def test_the_exit_code_is_that_of_the_word_on_the_screen(
    run: Run, light: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What failed on another processor is no failed stage of `run`, and its files may not be deployed all the same."""
    stages(monkeypatch, list)
    folder = Path(shutil.copytree(light, Path("exports") / light.name))
    again = ("run", "--dataset", "digits", "--epochs", 5, "--quiet")
    images = data.load("digits")
    native = parity.verify(folder, images, parity.Plan(("onnxruntime",), (128,), (1,)), lambda _: None)
    store.save(folder, native)
    assert run(*again) == 0
    assert capsys.readouterr().out.startswith("PASSED digits-relu: ")
    there = [on_nehalem(one, failures=("it is wrong",)) for one in native.results]
    processors = (Emulated(name="nehalem", model="nehalem", emulator="qemu"),)
    wrong = FleetRecord.of(msgspec.structs.replace(native, results=(*native.results, *there)), processors)
    store.save(folder, wrong)
    assert run(*again) == ParityBroken.exit_code
    assert capsys.readouterr().out.startswith("FAILED digits-relu: ")
    lost = (Absent(target="nehalem", reason="it hangs", remedy="wait"),)
    store.save(folder, msgspec.structs.replace(wrong, results=native.results, unreachable=lost))
    assert run(*again) == Unanswered.exit_code
    assert capsys.readouterr().out.startswith("NOT KNOWN digits-relu: nothing is known of nehalem")


def on_nehalem(result: ParityResult, **changed: Any) -> ParityResult:
    where = msgspec.structs.replace(result.configuration, processor="nehalem", host="nehalem")
    return msgspec.structs.replace(result, configuration=where, **changed)


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
def test_a_signal_says_how_to_go_on(
    error: BaseException, code: int, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped() -> list[Any]:
        raise error

    stages(monkeypatch, stopped)
    assert run("run", "--dataset", "digits", "--epochs", 1, "--quiet") == code
    assert "run the same command to resume" in capsys.readouterr().err


@pytest.mark.torture
def test_all_of_it_runs_on_the_digits(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run", "--dataset", "digits", "--quick", "--allow-busy") == 0
    page = Path("exports/digits-relu/report.html").read_text(encoding="utf-8")
    assert "Latency in numbers" in page
    assert workflow.LEFT_OUT in page
