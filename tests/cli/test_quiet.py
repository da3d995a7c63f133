"""What a long command prints with -q: its result in one line; with -qq nothing, and neither hides an error."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import mnist_bench.report as report
from mnist_bench import formats, hosts, parity, store, workflow
from mnist_bench.analysis.load import Loaded
from mnist_bench.bench import session
from mnist_bench.cli import _options
from mnist_bench.cli._output import show_result
from mnist_bench.core.bench_types import BenchPlan, Failure, GateRecord, SelfTestRecord, TrainingBenchRecord
from mnist_bench.core.errors import BadInput, EnvironmentProblem, RuntimeFailed, Unanswered
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import Absent, Artifact, Manifest, ParityRecord, Record
from tests.bench import made
from tests.conftest import Run
from tests.data.pictures import of_pixels
from tests.study import made as studies

Said = Callable[..., str]
QUICK = ("--runtime", "onnxruntime", "--threads", 1, "--batch-size", 128)
ENGINES = (("numpy", 0.1), ("eager", 0.2))
DIGITS = ("--dataset", "digits", "--epochs", 1, "--overwrite")


@pytest.fixture(autouse=True)
def here(light: Path, run: Run) -> Path:
    """The folder of a run below the working directory, where the command line finds it."""
    return Path(shutil.copytree(light, Path("exports") / light.name))


@pytest.fixture
def line_of(run: Run, capsys: pytest.CaptureFixture[str]) -> Said:
    """Run a command with -q, which must print one line, and with -qq, which must print none; return the line."""

    def said(*arguments: object, code: int = 0) -> str:
        assert run(*arguments, "-q") == code
        first = capsys.readouterr()
        assert run(*arguments, "-qq") == code
        second = capsys.readouterr()
        assert second.out == ""
        assert first.err == second.err
        assert len(first.err.splitlines()) == (1 if code else 0)
        assert first.out.endswith("\n")
        (line,) = first.out.splitlines()
        return line

    return said


def test_train(line_of: Said) -> None:
    one = line_of("train", *DIGITS)
    assert one.startswith("digits-relu: ")
    assert one.endswith(" errors), 97% not reached")
    both = line_of("train", *DIGITS, "--activation", "both", "--run", "pair", "--convergence-at", 0.05)
    assert both.count("% test accuracy (") == 2
    assert both.endswith("errors), epoch 1 reached 5%")


def test_train_with_an_accuracy_that_is_not_reached(line_of: Said) -> None:
    assert "test accuracy" in line_of("train", *DIGITS, "--require-accuracy", 1, code=1)


def test_export(line_of: Said, monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    manifest = store.load(here, Manifest)
    assert manifest
    outcomes = {
        "onnx": manifest.artifacts[0],
        "web": Skipped("web", "it is not here", "fetch it"),
        "c": RuntimeFailed("no compiler"),
    }

    def export(_folder: Path, _record: Record, name: str, **_: object) -> Artifact | Skipped:
        if isinstance(found := outcomes[name], RuntimeFailed):
            raise found
        return found  # type: ignore[return-value]

    monkeypatch.setattr(formats, "export", export)
    assert line_of("export", "--format", "onnx") == "digits-relu: 1 file exported (model-fp16.onnx)"
    words = line_of("export", *[word for name in outcomes for word in ("--format", name)], code=RuntimeFailed.exit_code)
    assert words == "digits-relu: 1 file exported (model-fp16.onnx), 1 skipped, 1 failed"


def test_what_is_asked_for_wrongly_is_said(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("export", "--format", "nonsense", "-qq") == BadInput.exit_code
    assert "nonsense" in capsys.readouterr().err


def test_verify(line_of: Said, here: Path) -> None:
    words = line_of("verify", *QUICK, "--model", here / "model.onnx")
    assert words.startswith("model.onnx beside digits-relu: onnxruntime gives the reference's answers, 0 flips, ")
    assert words.endswith(" images certified")


def test_verify_of_what_is_wrong(line_of: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    real: list[ParityRecord] = []

    def broken(*arguments: Any) -> ParityRecord:
        real.append(real[0] if real else verify(*arguments))
        found = real[0]
        wrong = msgspec.structs.replace(found.results[0], failures=("it is wrong",))
        lost = Absent(target="node", reason="it said nothing", remedy="ask it again")
        return msgspec.structs.replace(found, results=(wrong, *found.results[1:]), unreachable=(lost,))

    verify = parity.verify
    monkeypatch.setattr(parity, "verify", broken)
    words = line_of("verify", *QUICK, code=1)
    assert words.startswith("digits-relu: onnxruntime")
    assert " failed (1 of 4 targets); node could not be asked, 0 flips, " in words


def test_bench(line_of: Said, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        made.row([seconds * batch] * 12, made.configuration(name, batch, 2))
        for name, seconds in (("onnxruntime", 14.6e-6), ("torch-eager", 5e-5))
        for batch in (1, 128)
    ]
    lost = Failure(target="ncnn", block=0, reason="it died")
    monkeypatch.setattr(session, "bench", lambda *_, **__: made.record(rows, failures=(lost,)))
    best = (
        "fastest at batch 1: onnxruntime, 2 threads, 14.6 µs, fastest at batch 128: onnxruntime, 2 threads, 1,868.8 µs"
    )
    assert line_of("bench") == f"mnist-relu: 4 rows, {best}, 1 failed"
    assert run("bench", "-q", "--json", "-") == 0
    assert msgspec.json.decode(capsys.readouterr().out)["name"] == "mnist-relu"  # and nothing else is there


def test_bench_of_training() -> None:
    rows = [made.row([seconds] * 12, made.configuration(name, 128), kind="training") for name, seconds in ENGINES]
    found = report.bench_line([made.record_of(TrainingBenchRecord, rows)])
    assert found.startswith("mnist-relu: 2 rows, fastest engine: numpy, ")
    assert found.endswith(" images/s")


def test_lines_of_gates_self_tests_and_loads() -> None:
    plan = BenchPlan(blocks=12, batch_sizes=(1,), threads=(1,), baseline="before")
    rows = [made.row([seconds] * 12, side=side) for side, seconds in (("baseline", 1e-3), ("candidate", 1e-3))]
    gate = made.record_of(GateRecord, rows, plan=plan)
    assert report.bench_line([gate]) == "mnist-relu: 0 of 1 row slower than before"
    copies = [made.row([1e-3] * 12, side=side) for side in ("copy 1", "copy 2")]
    found = report.bench_line([made.record_of(SelfTestRecord, copies, plan=plan)])
    assert found.startswith("mnist-relu: 0 false alarms in ")
    results = [Loaded(rows[0].configuration, "server", {"Result is": word}, Path("x")) for word in ("VALID", "INVALID")]
    assert report.load_line("server", results, ["a: b"]) == "server: LoadGen accepts 1 of 2 results, 1 session failed"


def test_study(line_of: Said) -> None:
    words = line_of("study", "--dataset", "digits", "--epochs", 1, "--seeds", 1, "--resume", "--activation", "relu")
    assert words.startswith("study-digits: 1 of 1 trainings, relu ")
    assert words.endswith("%")


def test_study_of_two_networks() -> None:
    found = report.study_line(studies.drawn(seeds=4), report.ViewOptions())
    assert ": 8 of 8 trainings, relu " in found
    assert ", sigmoid minus relu -" in found


def test_import(line_of: Said, here: Path) -> None:
    words = line_of("import", here / "model.onnx", "--dataset", "digits", "--run", "theirs", "--overwrite")
    assert words.startswith("theirs: onnx imported, 535,818 parameters, fp32, ")
    assert words.endswith("% test accuracy")


def test_run(line_of: Said, monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    monkeypatch.setattr(workflow, "finish", lambda *_: [])
    both = line_of("run", *DIGITS, "--activation", "both", code=Unanswered.exit_code)
    unknown = "not verified, so nothing is known of its runtimes"
    place = Path("exports/digits-relu/report.html")
    assert both == f"NOT KNOWN digits-relu: {unknown}; NOT KNOWN digits-sigmoid: {unknown}; page: {place}"


def test_predict(line_of: Said, run: Run, digits: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for name, index in (("one.png", 3), ("two.png", 4)):
        Path(name).write_bytes(of_pixels(digits.test.pixels[index]))
    ask = ("predict", "--runtime", "onnxruntime", "--as-is")
    words = line_of(*ask, "one.png", "two.png")
    assert words.startswith("one.png: ")
    assert words.endswith("%), all targets agree")
    assert line_of(*ask, *["one.png"] * 5) == "5 pictures answered, all targets agree"
    assert run(*ask, "one.png", "-q", "--csv", "-") == 0
    assert capsys.readouterr().out.startswith("file,")  # and nothing else


def test_what_is_installed(line_of: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    def install(name: str, tell: Callable[[str], object]) -> str:
        told.append(name)
        tell("fetching …")
        return f"{name} made"

    monkeypatch.setattr(hosts, "install", install)
    assert line_of("hosts", "--install", "node") == "node made"
    assert line_of("runtimes", "--install", "node").endswith(" can be used on cpu")
    assert told == ["node"] * 4


def test_an_error_of_an_installation_is_said(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise EnvironmentProblem("npm is not here; install Node")

    monkeypatch.setattr(hosts, "install", fail)
    assert run("hosts", "--install", "node", "-qq") == 3
    assert capsys.readouterr() == ("", "mnist-bench: npm is not here; install Node\n")


def test_a_format_for_programs_is_printed_all_the_same(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("runtimes", "--format", "csv", "-qq") == 0
    assert len(capsys.readouterr().out.splitlines()) > 5


def test_foreign_words_stay_in_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_result(1, tables=lambda: None, line=lambda: "a\nb\x1b[2J")
    (line,) = capsys.readouterr().out.splitlines()
    assert "\x1b" not in line


def quiet_commands() -> list[str]:
    sources = sorted(Path(_options.__file__).parent.glob("[a-z]*.py"))
    return [path.stem for path in sources if "@_options.quiet" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("command", quiet_commands())
def test_the_help_tells_it(command: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    assert "-qq prints nothing but errors" in " ".join(capsys.readouterr().out.split())


def test_every_long_command_can_be_quiet() -> None:
    expected = "bench export hosts import predict run runtimes study train verify"
    assert quiet_commands() == expected.split()
