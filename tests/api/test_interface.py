"""Python's interface: its names, and that it does what the commands do."""

import copy
import inspect
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

import mnist_bench as mb
import mnist_bench.report as report
from mnist_bench import api, cli, data, formats, parity, store
from mnist_bench.api import _progress, _stopping
from mnist_bench.bench import session
from mnist_bench.core import plugins
from mnist_bench.core.bench_types import BenchPlan, InferenceBenchRecord, TrainingBenchRecord
from mnist_bench.core.errors import BadInput, DeviceUnavailable, ParityBroken, RunExists, RunNotFound, TargetUnavailable
from mnist_bench.core.events import EpochDone, Event, ImagesTrained, Measuring, TrainingStarted
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import ParityRecord, Record, TrainConfig
from tests.bench import made
from tests.conftest import Run

NAMES = [
    "Benchmark",
    "Data",
    "Exports",
    "MnistBenchError",
    "Parity",
    "Report",
    "Run",
    "View",
    "bench",
    "export",
    "open_data",
    "open_run",
    "report",
    "train",
    "verify",
]
"""What others may have come to rely on: nothing of it goes without a word in the changelog."""


def test_the_public_names_are_pinned_and_documented() -> None:
    assert sorted(api.__all__) == NAMES
    assert sorted((*mb._TYPES, *mb._FUNCTIONS)) == NAMES
    assert set(NAMES) <= set(dir(mb))
    for name in NAMES:
        assert getattr(api, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        getattr(mb, "trian")  # noqa: B009 mypy would see it


@pytest.mark.parametrize("name", ["train", "export", "verify", "bench", "report", "open_run", "open_data"])
def test_every_option_is_typed_and_described(name: str) -> None:
    function = getattr(api, name)
    for option in inspect.signature(function).parameters.values():
        assert option.annotation is not inspect.Parameter.empty
        assert f"{option.name}:" in function.__doc__


def in_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import mnist_bench; dir(mnist_bench); "
    assert in_python(code + "print(sorted(set(sys.modules) - before))") == "['mnist_bench']"


@pytest.mark.parametrize("first", ["", "from mnist_bench.report import Table; ", "import mnist_bench.bench.session; "])
def test_a_room_of_a_functions_name_is_both(first: str) -> None:
    code = first + "import mnist_bench as mb, inspect; from mnist_bench import api, report; "
    code += "assert mb.report is report and report.Table and mb.bench.__path__; "
    code += "assert inspect.signature(mb.bench) == inspect.signature(api.bench); "
    code += "print(callable(mb.bench), callable(mb.report))"
    assert in_python(code) == "True True"


@pytest.mark.parametrize(
    "option", ["dataset", "validation", "activation", "epochs", "batch_size", "learning_rate", "seed"]
)
def test_what_is_not_given_is_what_the_command_takes(option: str) -> None:
    of_command = {one.name: one.default for one in plugins.load(cli, "train").command.params}
    assert of_command[option] == getattr(TrainConfig(), option)


def test_training_gives_the_commands_weights(run: Run, tmp_path: Path) -> None:
    assert run("train", "--dataset", "digits", "--epochs", 1, "--threads", 1, "--quiet") == 0
    command = store.load_record(tmp_path / "exports" / "digits-relu")
    done = mb.train("digits", epochs=1, threads=1, out="mine", progress=False)
    assert command.checkpoint
    assert done.record.checkpoint
    assert done.record.checkpoint.weights.sha256 == command.checkpoint.weights.sha256
    assert done.folder == Path("mine/digits-relu")
    assert repr(mb.open_run(done.folder)) == repr(done)
    with pytest.raises(RunExists):
        mb.train("digits", epochs=1, threads=1, out="mine")
    again = mb.train("digits", epochs=1, threads=1, out="mine", resume=True)
    assert again.record == done.record
    with pytest.raises(BadInput, match="seed was 0, not 7"):
        mb.train("digits", seed=7, out="mine", resume=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "tanh"}, "activation must be one of relu, sigmoid"),
        ({"validation": "none"}, "validation must be one of"),
        ({"epochs": 0}, "epochs must be a whole number from 1"),
        ({"epochs": True}, "epochs must be a whole number"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"batch_size": 1.5}, "batch_size must be a whole number"),
        ({"learning_rate": "fast"}, "learning_rate must be a positive number, not 'fast'"),
        ({"trackers": "steam"}, "'steam'"),
        ({"threads": 10_000}, "threads must be a whole number from 1 to"),
        ({"resume": True, "overwrite": True}, "exclude each other"),
        ({"data_dir": "nowhere"}, "folder 'nowhere' does not exist"),
        ({"dataset": "no/where"}, "folder 'no/where' does not exist"),
        ({"engine": "steam"}, "steam"),
    ],
)
def test_what_training_refuses(options: dict[str, Any], message: str, run: Run) -> None:
    with pytest.raises(BadInput, match=message):
        mb.train(**({"dataset": "digits"} | options))
    assert not Path("exports").exists()


def test_a_device_that_is_not_here_is_an_error_of_ours(run: Run) -> None:
    with pytest.raises(DeviceUnavailable):
        mb.train("digits", device="cuda:77")


def test_ctrl_c_saves_and_ends_as_keyboard_interrupt(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mb.train("digits", epochs=1, threads=1, engine="eager", out="whole")
    before = signal.getsignal(signal.SIGINT)

    def interrupt(self: _progress.Told, event: Event) -> None:
        if isinstance(event, ImagesTrained):
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(_progress.Told, "on_event", interrupt)
        with pytest.raises(KeyboardInterrupt, match="stopped") as stopped:
            mb.train("digits", epochs=1, threads=1, engine="eager")
    assert stopped.value.__notes__ == ["resume=True goes on with the very next image"]
    assert signal.getsignal(signal.SIGINT) is before
    assert mb.open_run("exports/digits-relu").test_accuracy is None
    resumed = mb.train("digits", resume=True)
    assert resumed.record.checkpoint
    assert whole.record.checkpoint
    assert resumed.record.checkpoint.weights.sha256 == whole.record.checkpoint.weights.sha256


def test_a_second_ctrl_c_ends_at_once() -> None:
    with _stopping.stopping() as stop:
        assert stop() is None
        signal.raise_signal(signal.SIGINT)
        assert stop() == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let exports import torch no second time."""
    from mnist_bench.core import child
    from mnist_bench.formats import _request

    elsewhere = child.call

    def call(function: str, request: Any, result_type: type[Any], **limits: Any) -> Any:
        if function.startswith("mnist_bench.formats"):
            return _request.serve(request)
        return elsewhere(function, request, result_type, **limits)

    monkeypatch.setattr(child, "call", call)


@pytest.fixture
def own(light: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> mb.Run:
    """A run with its ONNX files, to do as one likes with."""
    monkeypatch.chdir(tmp_path)
    return mb.open_run(shutil.copytree(light, tmp_path / "exports" / "digits-relu"))


def test_exporting(own: mb.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    in_process(monkeypatch)
    done = mb.export(own, ["c", "onnx"], progress=False)
    assert [name for name, *_ in done.outcomes] == ["c", "onnx"]
    assert len(done.files) == 2
    assert all(file.exists() for file in done.files)
    assert {entry.format for entry in done.record.artifacts} == {"c", "onnx"}
    assert done.passed
    assert "model.onnx" in done._repr_html_()
    with pytest.raises(BadInput, match="no 'pickle'"):
        mb.export(own, "pickle")
    with pytest.raises(BadInput, match="c cannot hold fp16"):
        mb.export(own, "c", "fp16")
    with pytest.raises(BadInput, match="nothing to export"):
        mb.export(own, [])


def test_what_cannot_be_exported_is_raised_or_told(own: mb.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "export", lambda *_, **__: Skipped("onnx", "it is not here", "install it"))
    with pytest.raises(TargetUnavailable, match="it is not here"):
        mb.export(own)
    assert mb.export(own, check=False).skipped[0].remedy == "install it"
    wrong = BadInput("it is wrong")
    monkeypatch.setattr(formats, "export", lambda *_, **__: (_ for _ in ()).throw(wrong))
    with pytest.raises(mb.MnistBenchError, match="1 of 1 exports failed") as failed:
        mb.export(own)
    assert failed.value.exit_code == 2
    assert mb.export(own, check=False).failed == (("onnx", "fp32", wrong),)


def test_a_run_that_is_locked_is_left_alone(own: mb.Run) -> None:
    with store.locked(own.folder), pytest.raises(RunExists):
        mb.export(own)


def test_runs_by_name_by_folder_and_the_newest(own: mb.Run) -> None:
    assert mb.report().records == (own.record,)
    assert mb.report("digits-relu").folder == Path("exports/digits-relu")
    assert mb.report(own.folder, own).folder == own.folder
    for missing in ("other", Path("other")):
        with pytest.raises(RunNotFound):
            mb.report(missing)
    with pytest.raises(RunNotFound, match=r"mnist_bench\.train"):
        mb.report(out="empty")


def test_results_are_compared_and_copied_although_they_hold_images(own: mb.Run) -> None:
    one = mb.report(own)
    assert one == one  # noqa: PLR0124 that it raises nothing
    assert one != mb.report(own)
    assert pickle.loads(pickle.dumps(one)).records == one.records
    assert copy.deepcopy(own) == own


def test_what_is_no_run_is_not_the_newest(own: mb.Run, tmp_path: Path) -> None:
    wrong: Any
    for wrong in (5, b"digits-relu", ["digits-relu"]):
        with pytest.raises(BadInput, match="a run is a Run, its name"):
            mb.report(wrong, out=own.folder.parent)
    for share in (7, 0, float("nan")):
        with pytest.raises(BadInput, match="convergence_at must be a share"):
            mb.report(own, convergence_at=share)
    other = shutil.copytree(own.folder, tmp_path / "elsewhere" / own.name)
    with pytest.raises(BadInput, match="two of these runs are called"):
        mb.report(own, other)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("time_limit", -1),
        ("time_limit", float("nan")),
        ("memory_limit", 0),
        ("precision", "fp99"),
        ("batch_sizes", [[1, 2]]),
        ("batch_sizes", "128"),
        ("batch_sizes", b"\x01"),
        ("batch_sizes", None),
        ("threads", [True]),
        ("runtimes", None),
        ("runtimes", [["onnxruntime"]]),
        ("runtimes", b"onnxruntime"),
        ("hosts", 5),
    ],
)
def test_what_verifying_refuses(option: str, value: Any, own: mb.Run) -> None:
    wrong: Any = {option: value}
    with pytest.raises(BadInput, match=f"{option} must be"):
        mb.verify(own, progress=False, **wrong)


def test_a_star_imports_the_public_names_alone() -> None:
    code = "names = {}; exec('from mnist_bench import *', names); print(sorted(set(names) - {'__builtins__'}))"
    assert in_python(code) == str(NAMES)


def test_verifying(own: mb.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert own.parity is None
    found = mb.verify(own, runtimes="onnxruntime", batch_sizes=128, threads=1)
    assert found.passed
    assert "onnxruntime" in found.flips
    assert found.certified == found.record.certificate.certified
    assert own.parity == found
    assert "PASSED" in found._repr_html_()
    wrong = msgspec.structs.replace(
        found.record,
        results=(msgspec.structs.replace(found.record.results[0], failures=("it is <b>wrong</b>",)),),
    )
    monkeypatch.setattr(parity, "verify", lambda *_: wrong)
    with pytest.raises(ParityBroken, match="it is <b>wrong</b>"):
        mb.verify(own)
    shown = mb.verify(own, check=False)
    assert not shown.passed
    assert "FAILED" in shown._repr_html_()
    assert "<b>wrong" not in shown._repr_html_()
    assert "FAILED" in repr(shown)
    assert own.parity == shown


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[BenchPlan]:
    """Let benchmarks take no time; return what will have been planned."""
    plans: list[BenchPlan] = []

    def bench(kind: Any, subject: session.Subject, plan: BenchPlan, on_event: Any, **_: Any) -> InferenceBenchRecord:
        on_event(Measuring(0, plan.blocks, 0, 1, "onnxruntime"))
        plans.append(plan)
        assert subject.record.checkpoint
        rows = [made.row([2e-5] * plan.blocks)]
        found = made.record(rows, plan=plan, weights_sha256=subject.record.checkpoint.weights.sha256)
        store.save(subject.folder, found)
        return found

    monkeypatch.setattr(session, "bench", bench)
    return plans


def test_benchmarking(own: mb.Run, planned: list[BenchPlan]) -> None:
    found = mb.bench(own, runtimes="onnxruntime", batch_sizes=[1, 7], threads=1, blocks=8, seed=3)
    assert planned[0].targets == ("onnxruntime",)
    assert (planned[0].batch_sizes, planned[0].threads, planned[0].blocks, planned[0].seed) == ((1, 7), (1,), 8, 3)
    assert next(iter(found.latency_s.values())) == pytest.approx(2e-5)
    assert own.benchmark
    assert (own.benchmark.latency_s, own.benchmark.record.name) == (found.latency_s, own.name)
    assert "Latency of" in found._repr_html_()
    mb.bench(own, quick=True)
    assert (planned[1].batch_sizes, planned[1].blocks) == ((1, 128), 6)
    mb.bench(own)
    assert (planned[2].batch_sizes, planned[2].blocks) == ((1, 32, 128, 1024), 12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engines": "eager"}, "engines are of training"),
        ({"runtimes": "onnxruntime", "training": True}, "runtimes are of inference"),
        ({"resume": True, "quick": True}, "resume goes on with the saved plan"),
        ({"resume": True, "blocks": 3}, "resume goes on with the saved plan"),
        ({"resume": True, "seed": 3}, "resume goes on with the saved plan"),
        ({"batch_sizes": 0}, "batch_sizes must be a whole number from 1"),
        ({"blocks": 0}, "blocks must be a whole number from 1"),
        ({"threads": 1.5}, "threads must be a whole number"),
        ({"engines": 5, "training": True}, "engines must be a name or several, not 5"),
    ],
)
def test_what_benchmarking_refuses(options: dict[str, Any], message: str, own: mb.Run) -> None:
    with pytest.raises(BadInput, match=message):
        mb.bench(own, **options)


def test_a_saved_plan_that_starts_programs_is_not_followed(own: mb.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = made.record([made.row([1e-5])], plan=msgspec.structs.replace(made.record([]).plan, hosts=("command:evil",)))
    monkeypatch.setattr(store, "load_unfinished", lambda *_: saved)
    with pytest.raises(BadInput, match="the saved plan is of other hosts"):
        mb.bench(own, resume=True)


def test_a_report_shows_tables_figures_and_answers(own: mb.Run) -> None:
    found = mb.report(own, page=True)
    assert found.page == own.folder / "report.html"
    assert found.page.exists()
    assert not found.passed  # it was never verified
    html = found._repr_html_()
    assert "NOT KNOWN" in html
    assert "Does it overfit" in html
    figures = found.figures("confusion", "misclassified")
    assert figures._repr_html_().count("data:image/svg+xml;base64,") == 2
    assert repr(figures) == "View('confusion', 'misclassified')"
    assert repr(found.answers("overfitting")) == "View('Does it overfit, and how can one tell?')"
    assert len(found.tables("overfitting", "convergence").blocks) == 2
    for show in (found.tables, found.figures, found.answers):
        with pytest.raises(BadInput, match="nonsense"):
            show("nonsense")


def test_what_is_shown_needs_nothing_else_and_runs_nothing(own: mb.Run) -> None:
    for one in (own, mb.report(own), mb.open_data("digits")):
        html = one._repr_html_()
        for forbidden in ("<script", "http://", "https://", "<style", "onload", "<link"):
            assert forbidden not in html


def test_on_a_terminal_all_columns_are_there(own: mb.Run) -> None:
    for width in (40, 80):
        console = Console(width=width, record=True, file=Path(os.devnull).open("w"))  # noqa: SIM115
        console.print(own, mb.report(own), mb.report(own).tables("classes"), mb.open_data("digits"))
        text = console.export_text()
        words = ("What came out", "NOT KNOWN", "Precision", "F1", "Does it overfit", "Pixels that are 0", "[picture]")
        for word in words:
            assert word in " ".join(text.split())
        console.file.close()


class Seen:
    def __init__(self) -> None:
        self.at: list[_progress.At] = []
        self.lines: list[str] = []

    def show(self, at: _progress.At) -> None:
        self.at.append(at)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def close(self) -> None:
        pass


def test_a_bar_follows_the_events(trained: tuple[Path, Record]) -> None:
    seen = Seen()
    told = _progress.Told(seen)
    record = msgspec.structs.replace(trained[1], epochs=trained[1].epochs[:2], final=None, name="a\x1b[1mb")
    per_epoch = record.dataset.train_images
    told.on_event(TrainingStarted(record))
    told.on_event(ImagesTrained(3, 100))
    told.on_event(EpochDone(trained[1]))
    told.on_event(Measuring(1, 4, 2, 5, "onnxruntime"))
    assert [(one.done, one.total) for one in seen.at] == [
        (2 * per_epoch, 15 * per_epoch),
        (2 * per_epoch + 100, 15 * per_epoch),
        (15 * per_epoch, 15 * per_epoch),
        (7, 20),
    ]
    assert seen.at[0].words.startswith("a\ufffd[1mb: epoch 3 of 15, validation ")
    assert "epoch 15 of 15" in seen.at[2].words


def test_without_a_terminal_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    with _progress.told(progress=True) as told:
        told.begin("anything")
        told.say("a line")
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_a_bar_is_drawn_and_taken_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with _progress.told(progress=True) as told:
        told.on_event(Measuring(1, 4, 2, 5, "onnxruntime"))
        told.say("a [bold]line[/bold]")
    shown = capsys.readouterr().err
    assert "block 2 of 4: onnxruntime" in shown
    assert "a [bold]line[/bold]" in shown


def test_data_tell_their_facts(digits: data.Dataset) -> None:
    found = mb.open_data("digits")
    assert found.train.pixels.shape == (1437, 28, 28)
    assert found.classes == digits.classes
    facts, classes = list(report.data_tables(digits))
    assert facts.rows[0][1:] == [report.Quantity(1437, report.Unit.COUNT), report.Quantity(360, report.Unit.COUNT)]
    assert sum(row[1] for row in classes.rows if isinstance(row[1], int)) == 1437
    with pytest.raises(BadInput):
        mb.open_data("letters")


def uses(_: Sequence[object]) -> None:
    """See that mypy knows the types of what is public: of rooms that are functions, too."""
    run: mb.Run = mb.train("digits")
    found: mb.Parity = mb.verify(run)
    measured: mb.Benchmark = mb.bench(run)
    made_of: mb.Report = mb.report(run)
    uses([found.record, measured.record, made_of.records, ParityRecord, TrainingBenchRecord])
