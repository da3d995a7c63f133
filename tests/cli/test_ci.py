"""What CI systems are told: JUnit XML, GitHub's annotations and summary."""

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import onnx
import pytest
from msgspec.structs import replace

import mnist_bench.report as report
from mnist_bench import api, store
from mnist_bench.analysis import cases
from mnist_bench.analysis.cases import Case
from mnist_bench.analysis.parity import judge
from mnist_bench.core.bench_types import Failure
from mnist_bench.core.errors import Unanswered
from mnist_bench.core.types import Absent, Emulated, FleetRecord, ParityRecord
from tests.analysis.test_comparison import gate_record, plain
from tests.conftest import Run

QUICK = ("verify", "--batch-size", "1,128", "--threads", "1", "--runtime", "onnxruntime", "-q")
ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "disabled", "errors"},
    "testsuite": {
        *("name", "tests", "failures", "errors", "time", "disabled", "skipped", "timestamp", "hostname", "id"),
        "package",
    },
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"name", "assertions", "time", "classname", "status"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "skipped": {"type", "message"},
    "system-out": set(),
}
"""What Jenkins' xUnit plug-in has in its schema junit-10.xsd, and GitLab reads."""
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out"},
    "properties": {"property"},
    "testcase": {"skipped", "error", "failure", "system-out"},
}
OUTCOMES = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def checked(document: str) -> ET.Element:
    """Parse a JUnit document, and hold it against the schema and its own counts."""
    root = ET.fromstring(document)
    assert root.tag == "testsuites"
    for element in root.iter():
        assert set(element.attrib) <= ATTRIBUTES[element.tag], element.tag
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set()), element.tag
    for suite in root:
        found = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(found)
        for name, tag in OUTCOMES.items():
            assert int(suite.attrib[name]) == len(suite.findall(f"testcase/{tag}")), name
        assert all(case.attrib["name"] and case.attrib["classname"] for case in found)
    return root


def outcomes(root: ET.Element) -> list[str]:
    return [next((child.tag for child in case), "") for case in root.iter("testcase")]


@pytest.fixture
def own_copy(light: Path, tmp_path: Path) -> Path:
    """A run that has its ONNX files alone, where the command line finds it."""
    return Path(shutil.copytree(light, tmp_path / "exports" / "digits-relu"))


@pytest.fixture
def spoilt(own_copy: Path) -> Path:
    """A copy of the run's ONNX file with another bias: it flips most images."""
    model = onnx.load(own_copy / "model.onnx")
    bias = next(weight for weight in model.graph.initializer if list(weight.dims) == [10])
    values = onnx.numpy_helper.to_array(bias).copy()
    values[3] += 50
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    onnx.save(model, "spoilt.onnx")
    return Path("spoilt.onnx")


def test_verify_writes_a_case_per_configuration(own_copy: Path, run: Run) -> None:
    assert run(*QUICK, "--junit", "verify.xml") == 0
    root = checked(Path("verify.xml").read_text())
    suite = root[0]
    names = [case.attrib["name"] for case in root.iter("testcase")]
    assert "onnxruntime: batch 1, 1 thread" in names
    assert "onnxruntime int8: batch 128, 1 thread" in names
    assert set(outcomes(root)) == {"system-out"}
    facts = {one.attrib["name"]: one.attrib["value"] for one in suite.iter("property")}
    assert re.fullmatch(r"\d+ of 360", facts["certified"])
    saved = store.load(own_copy, ParityRecord)
    assert saved
    assert suite.attrib["timestamp"] == saved.environment.started_at
    assert facts["weights_sha256"] == saved.weights_sha256


def test_a_flip_is_a_failure_and_the_file_replaces_an_older_one(own_copy: Path, run: Run, spoilt: Path) -> None:
    Path("verify.xml").write_text("an older one", encoding="utf-8")
    assert run(*QUICK, "--model", spoilt, "--junit", "verify.xml") == 1
    root = checked(Path("verify.xml").read_text())
    assert outcomes(root) == ["failure", "failure"]
    assert "certified images are predicted differently" in next(root.iter("failure")).attrib["message"]


def test_what_cannot_be_verified_at_all_is_an_error_and_not_yesterday_s_success(own_copy: Path, run: Run) -> None:
    Path("broken.onnx").write_bytes(b"no model")
    assert run(*QUICK, "--junit", "verify.xml") == 0
    assert run(*QUICK, "--model", "broken.onnx", "--junit", "verify.xml") == 2
    root = checked(Path("verify.xml").read_text())
    assert outcomes(root) == ["error"]
    assert "broken.onnx" in next(root.iter("error")).attrib["message"]


def test_one_document_at_a_time_goes_to_stdout(own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*QUICK[:-1], "--junit", "-", "--json", "-") == 2
    assert "cannot both go to stdout" in capsys.readouterr().err
    assert run(*QUICK[:-1], "--junit", "-") == 0
    checked(capsys.readouterr().out)


def test_a_place_that_cannot_be_written_is_told_before_the_work(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*QUICK, "--junit", "nowhere/verify.xml") == 3
    assert "there is no folder" in capsys.readouterr().err
    assert run(*QUICK, "--junit", own_copy / "run.json") == 2
    assert "is a file of a run" in capsys.readouterr().err
    assert run("bench", "--quick", "--junit", "bench.xml") == 2
    assert "--junit is of a --gate" in capsys.readouterr().err


def test_absent_and_unreachable_targets_are_told_apart(own_copy: Path, run: Run) -> None:
    assert run(*QUICK) == 0
    saved = store.load(own_copy, ParityRecord)
    assert saved
    lost = Absent(target="engine", reason="it hung", remedy="")
    lacking = Absent(target="ncnn", reason="not installed", remedy="pip install ncnn")
    found = cases.of_parity(replace(saved, results=(), unreachable=(lost,), skipped=(lacking,)))
    assert [(one.name, one.outcome, one.words) for one in found] == [
        ("engine", "error", "it hung"),
        ("ncnn", "skipped", "not installed; pip install ncnn"),
    ]
    assert cases.worst(found) == "error"
    assert outcomes(checked(report.junit("verify", found))) == ["error", "skipped"]


def test_where_no_target_answered_nothing_is_green(own_copy: Path, run: Run) -> None:
    assert run(*QUICK) == 0
    saved = store.load(own_copy, ParityRecord)
    assert saved
    judge(saved)
    lacking = Absent(target="ncnn", reason="not installed", remedy="pip install ncnn")
    nothing = replace(saved, results=(), skipped=(lacking,))
    assert outcomes(checked(report.junit("verify", cases.of_parity(nothing)))) == ["error", "skipped"]
    assert api.Parity(own_copy, saved).passed
    assert not api.Parity(own_copy, nothing).passed
    with pytest.raises(Unanswered, match="no target of 'digits-relu' answered"):
        judge(nothing)


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(143), ZeroDivisionError("a bug")])
def test_what_was_stopped_leaves_no_success_of_yesterday(
    stop: BaseException, own_copy: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise stop

    monkeypatch.setattr("mnist_bench.stages.verifying.compare", stopped)
    Path("verify.xml").write_text(report.junit("verify", [Case("ort", "passed", "")]))
    assert run(*QUICK, "--junit", "verify.xml") != 0
    assert outcomes(checked(Path("verify.xml").read_text())) == ["error"]


@pytest.mark.parametrize(("refusals", "outcome"), [((None, "it is wrong"), "skipped"), (("it is wrong",), "error")])
def test_processors_that_do_not_count_are_told(
    refusals: tuple[str | None, ...], outcome: str, own_copy: Path, run: Run
) -> None:
    assert run(*QUICK) == 0
    saved = store.load(own_copy, ParityRecord)
    assert saved
    fields = {name: getattr(saved, name) for name in saved.__struct_fields__}
    processors = tuple(Emulated(name="p", emulator="e", model="m", refusal=one) for one in refusals)
    found = cases.of_parity(FleetRecord(**fields | {"processors": processors, "skipped": ()}))
    assert [one.outcome for one in found[len(saved.results) :]] == [outcome]


HOSTILE = [
    "a\x00b\x1b[31m\x07",
    "<&\"'>]]>",
    "::error::x\n##[set-env]",
    "\ud800 \ufffe\uffff \u202e",
    "line\r\nanother\ttab",
]


@pytest.mark.parametrize("words", HOSTILE)
def test_the_document_is_well_formed_whatever_a_target_is_called(words: str) -> None:
    made = [Case(words, outcome, words, words) for outcome in ("passed", "failed", "error", "skipped")]
    document = report.junit("verify", made, facts={words: words})
    document.encode()
    root = checked(document)
    assert outcomes(root) == ["system-out", "failure", "error", "skipped"]
    forbidden = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
    assert not forbidden.search(document)


def test_the_check_of_the_document_can_fail() -> None:
    good = report.junit("verify", [Case("a", "failed", "b")])
    for bad in (good.replace('failures="1"', 'failures="0"'), good.replace("type=", "kind=")):
        with pytest.raises(AssertionError):
            checked(bad)


# --- gates ------------------------------------------------------------------------------------------------------------


def test_a_gate_fails_only_what_was_confirmed() -> None:
    slow = gate_record(1.1)
    assert [one.outcome for one in cases.of_gate(replace(slow, confirmation=plain(gate_record(1.0))))] == ["passed"] * 2
    found = cases.of_gate(replace(slow, confirmation=plain(gate_record(1.1))))
    assert [one.outcome for one in found] == ["failed", "failed"]
    assert re.match(r"SLOWER, candidate over baseline 1\.\d{3} \(.*; measured again: SLOWER", found[0].words)
    checked(report.junit("bench --gate", found))


def test_what_a_gate_could_not_compare_is_an_error() -> None:
    record = gate_record(1.0)
    one_side = replace(record, rows=record.rows[:-1])
    found = cases.of_gate(one_side)
    assert [one.outcome for one in found] == ["passed", "error"]
    assert "the other side lacks it" in found[-1].words
    died = replace(record, failures=(Failure(side="baseline", target="ncnn", block=0, reason="it died"),))
    assert cases.of_gate(died)[-1] == Case("baseline ncnn", "error", "it died")


def test_a_gate_that_did_not_begin_is_an_error(own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(
            "bench",
            "--gate",
            "--baseline",
            "no such thing",
            "--junit",
            "gate.xml",
            "--annotate",
            "github",
            "--allow-busy",
        )
        == 2
    )
    assert outcomes(checked(Path("gate.xml").read_text())) == ["error"]
    assert "::error title=mnist-bench bench --gate::" in capsys.readouterr().err


# --- GitHub -----------------------------------------------------------------------------------------------------------


def test_a_message_is_escaped_as_the_runner_wants_it() -> None:
    line = report.annotation("error", "50%: a,b\r\nc", "100%\nsecond: line, with\ra return", "models/a,b.onnx")
    assert line == ("::error file=models/a%2Cb.onnx,title=50%25%3A a%2Cb c::100%25%0Asecond: line, with%0Aa return")


@pytest.mark.parametrize("words", HOSTILE)
def test_no_word_of_a_stranger_begins_a_command(words: str) -> None:
    for line in report.annotations("verify", [Case(words, "failed", words, words), Case(words, "error", words)]):
        assert line.count("\n") == line.count("\r") == 0
        assert re.match(r"::(error|warning) title=[^,:]*::", line)


def test_a_target_is_annotated_once_and_what_is_not_known_is_a_warning() -> None:
    made = [Case("ort", "failed", "flips", f"batch {n}") for n in range(12)]
    made += [Case("lost", "error", "it hung"), Case("good", "passed", ""), Case("none", "skipped", "not here")]
    error, warning = report.annotations("verify", made)
    assert error.startswith("::error title=mnist-bench verify%3A ort::batch 0: flips%0Abatch 1: flips")
    assert error.endswith("%0Aand 2 more")
    assert warning == "::warning title=mnist-bench verify%3A lost::it hung"


@pytest.fixture
def on_github(monkeypatch: pytest.MonkeyPatch, run: Run) -> Path:
    """GitHub's environment, in the working directory of the test."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(Path.cwd()))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(Path("summary.md").absolute()))
    return Path("summary.md")


def test_on_github_a_failed_target_is_annotated_at_its_file(
    own_copy: Path, on_github: Path, run: Run, spoilt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("models").mkdir()
    shutil.move(spoilt, "models/m.onnx")
    assert run(*QUICK, "--model", "models/m.onnx", "--json", "-") == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["results"]
    assert err.startswith("::error file=models/m.onnx,title=mnist-bench verify%3A onnxruntime::batch 1, 1 thread: ")
    assert on_github.read_text().startswith("## mnist-bench verify: FAILED\n\n- onnxruntime: batch 1, 1 thread: ")
    assert "<details><summary>Runtimes of digits-relu" in on_github.read_text()
    assert run(*QUICK) == 0
    assert "## mnist-bench verify: passed" in on_github.read_text()
    assert capsys.readouterr().err == ""


def test_annotations_can_be_turned_off_and_elsewhere_are_not_made(
    own_copy: Path,
    on_github: Path,
    run: Run,
    spoilt: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(*QUICK, "--model", spoilt, "--annotate", "none") == 1
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert run(*QUICK, "--model", spoilt) == 1
    assert "::error" not in capsys.readouterr().err
    assert not on_github.exists()


def test_a_summary_that_cannot_be_written_changes_no_verdict(
    own_copy: Path, on_github: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(Path.cwd()))
    assert run(*QUICK) == 0
    assert "summary cannot be written" in capsys.readouterr().err
