"""Workers as they should be, and all that a worker can do wrong: one line, the right exit code, nobody harmed."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from msgspec.structs import replace

from mnist_bench import hosts, parity, runtimes, store
from mnist_bench.bench._messages import Probed
from mnist_bench.core.bench_types import InferenceBenchRecord
from mnist_bench.core.errors import BadInput, RuntimeFailed, TargetUnavailable, Unreachable
from mnist_bench.core.types import ParityRecord
from tests.conftest import Run
from tests.processes import lives

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "examples" / "engine.py"
PIDS = Path(tempfile.gettempdir()) / f"mnist-bench-test-{os.getpid()}.pid"
QUICK = ("verify", "--run", "digits-relu", "--threads", "1", "--batch-size", "128")
IMAGES = np.random.default_rng(0).random((10, 1, 28, 28), np.float32)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No test leaves a process."""
    yield
    assert not [one for one in psutil.Process().children(recursive=True) if lives(one)]


def weights(folder: Path) -> runtimes.Model:
    saved = store.load_record(folder).checkpoint
    assert saved
    return runtimes.Model({saved.weights.name: store.content(folder, saved.weights)}, "weights", "fp32", "relu")


def here(time_s: float = 60.0) -> Any:
    return hosts.started(hosts.launch(hosts.HERE), None, hosts.Limits(time_s))


# Workers as they should be


def test_a_worker_starts_without_what_it_does_not_need() -> None:
    code = (
        "import sys, io\n"
        "from mnist_bench.core import protocol\n"
        "from mnist_bench.worker import __main__, _serve\n"
        "worker = _serve.Worker()\n"
        "assert worker.answer(protocol.Message('hello', {'runtime': 'null'})).kind == 'hello'\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "msgspec", "click", "rich", "scipy", "sklearn", "onnx", "onnxruntime", "psutil", "safetensors"}
    assert "numpy" in done.stdout.split()
    assert heavy.isdisjoint(done.stdout.split())


def test_a_worker_tells_who_it_is_and_its_own_process(exported: Path) -> None:
    with here() as worker:
        hello = worker.greet("torch-eager")
        assert hello.runtime == "torch-eager"
        assert hello.pid in {one.pid for one in psutil.Process().children(recursive=True)}
        assert hello.import_s
        assert worker.open(weights(exported), runtimes.Spec()).load_s
        assert worker.inspect().provider == "torch cpu"
        timing = hosts.Timing(batch_size=4, calls=5, warm_up_calls=3, warm_up_s=0.0, answers=6)
        found = worker.time(IMAGES, timing)
        assert len(found.times_s) == 5
        assert found.warm_up_calls == 3
        assert found.logits is not None
        assert found.logits.shape == (6, 10)
        assert found.peak_resident_bytes
        assert found.peak_resident_bytes > 10**8  # torch's, and not that of this process or of none
        np.testing.assert_array_equal(found.logits, worker.run(IMAGES, 4)[:6])


def test_images_are_sent_once_and_a_session_can_be_opened_again(exported: Path) -> None:
    with here() as worker:
        worker.greet("torch-eager")
        answers = []
        for threads in (1, 2):
            worker.open(weights(exported), runtimes.Spec(threads=threads))
            answers.append(worker.run(IMAGES, 3))
        other = worker.run(IMAGES[::-1].copy(), 3)
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)
    np.testing.assert_allclose(answers[0], other[::-1], atol=1e-5)


def test_what_a_user_s_folder_holds_is_not_what_a_worker_imports(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("onnx", "random", "numpy"):
        Path(f"{name}.py").write_text("import sys; sys.stderr.write('executed'); sys.exit(9)\n")
    with here() as worker:
        assert worker.greet("onnxruntime").runtime == "onnxruntime"


def test_files_arrive_as_they_were_sent_or_are_refused(exported: Path) -> None:
    from mnist_bench.core.protocol import Message
    from mnist_bench.worker._serve import Worker

    worker, content = Worker(), np.frombuffer(b"other bytes", np.uint8)
    worker.answer(Message("hello", {"runtime": "torch-eager"}))
    fields = {"device": "cpu", "threads": 1, "precision": "fp32", "format": "weights", "file_precision": "fp32"}
    fields |= {"activation": "relu", "batch": None, "foreign": False, "sha256": {"w": "0" * 64}}
    reply = worker.answer(Message("open", fields, {"w": content}))
    assert (reply.kind, reply.fields["kind"]) == ("error", "refused")
    assert "did not come as it was sent" in reply.fields["reason"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [("dance", "not known"), ("run", "nothing is open"), ("open", "greeted before"), ("inspect", "nothing is open")],
)
def test_a_worker_says_what_it_cannot_do_and_goes_on(kind: str, words: str) -> None:
    from mnist_bench.core.protocol import Message
    from mnist_bench.worker._serve import Worker

    worker = Worker("null")
    reply = worker.answer(Message(kind, {"batch_size": 1}))
    assert reply.kind == "error"
    assert words in reply.fields["reason"]
    assert worker.answer(Message("hello")).kind == "hello"


def test_errors_keep_their_meaning(exported: Path) -> None:
    with here() as worker:
        worker.greet("torch-eager")
        broken = runtimes.Model({"w": b"no safetensors"}, "weights", "fp32", "relu")
        with pytest.raises(RuntimeFailed, match="SafetensorError"):
            worker.open(broken, runtimes.Spec())
        worker.open(weights(exported), runtimes.Spec())  # and it goes on
        with pytest.raises(RuntimeFailed, match="shape"):
            worker.run(IMAGES[:, :, :3], 1)
    with here() as worker, pytest.raises(TargetUnavailable, match="torch sees"):
        worker.greet("torch-eager", "cuda:99")


# A program that speaks the protocol


def test_the_example_is_short_and_needs_numpy_alone() -> None:
    text = ENGINE.read_text(encoding="utf-8")
    assert text.count("\n") < 100
    imports = {line.split()[1] for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert imports - set(sys.stdlib_module_names) == {"numpy"}


@pytest.mark.parametrize("placeholder", ["{model}", ""], ids=["by its path", "in the message"])
def test_any_program_that_speaks_the_protocol_is_verified_and_benched(
    placeholder: str, own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(ENGINE))} {placeholder}".strip()
    command = f"sh -c {shlex.quote(command + '; true')}"  # a shell stays in front of it
    before = store.load(own_copy, ParityRecord)
    assert run("verify", "--command", command, "--format", "weights", "--json", "-") == 0
    found = json.loads(capsys.readouterr().out)
    assert {result["configuration"]["runtime"] for result in found["results"]} == {"numpy-engine"}
    assert all(result["failures"] == [] and result["beyond_bound"] == 0 for result in found["results"])
    assert store.load(own_copy, ParityRecord) == before  # a comparison of a part is not the run's
    if placeholder:
        options = ("--quick", "--allow-busy", "--threads", "1", "--batch-size", "1", "--runtime", "null")
        monkeypatch.setattr("mnist_bench.cli._bench.QUICK_BLOCKS", 1)
        monkeypatch.setattr("mnist_bench.bench.session.probe", lambda *_: Probed((), {}))
        assert run("bench", *options, "--host", "here", "--command", command, "--format", "weights", "-q") == 0
        saved = store.load(own_copy, InferenceBenchRecord)
        assert saved
        assert saved.failures == ()
        (own,) = [row for row in saved.rows if row.configuration.runtime == "numpy-engine"]
        assert (own.samples[0].peak_resident_bytes or 0) > 10**7  # NumPy's, and not that of a shell before it
        assert {row.configuration.target for row in saved.rows} == {
            "null",
            "numpy-engine on sh",
        }


def test_a_program_and_a_runtime_are_verified_side_by_side(own_copy: Path, run: Run) -> None:
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(ENGINE))} {{model}}"
    named = ("--runtime", "torch-eager", "--command", command, "--format", "weights")
    assert run(*QUICK, "-q", "--json", "found.json", *named) == 0
    found = store.read(Path("found.json"), ParityRecord)
    assert {one.configuration.runtime for one in found.results} == {"torch-eager", "numpy-engine"}


def test_a_board_over_ssh_is_a_target(
    own_copy: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for ssh: another process group, another folder, a clean environment, and nothing but the pipes."""
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(
        '#!/bin/sh\nshift\nmkdir -p "$(dirname "$0")/away"; cd "$(dirname "$0")/away" || exit 255\n'
        f'exec env -i PATH="{Path(sys.executable).parent}:$PATH" HOME="$PWD" PYTHONPATH="{ROOT}" sh -c "$*"\n'
    )
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}{os.pathsep}{os.environ['PATH']}")
    serve = "ssh board python -m mnist_bench serve --runtime onnxruntime"
    for precision in ("fp32", "int8"):
        assert run(*QUICK, "-q", "--command", serve, "--precision", precision) == 0
    assert run(*QUICK, "-q", "--command", "ssh board no-such-program") == 3


def test_a_foreign_file_can_be_given_to_a_program(own_copy: Path, run: Run) -> None:
    (own_copy / "model.onnx").rename("elsewhere.onnx")
    (own_copy / "manifest.json").unlink()
    serve = f"{shlex.quote(sys.executable)} -m mnist_bench serve --runtime onnxruntime"
    assert run(*QUICK, "-q", "--model", "elsewhere.onnx", "--command", serve) == 0


# Workers as they should not be

BAD_ENGINE = f"""
import importlib.util, json, os, sys, time
import numpy as np

fault = sys.argv[1]
if fault == "nothing":
    sys.exit(0)
if fault == "last words":
    sys.stderr.write("cannot open shared object \\x1b[31m\\n")
    sys.exit(7)
if fault == "hang":
    time.sleep(600)
if fault == "garbage":
    print("Welcome to engine 2.0!", flush=True)
if fault == "binary":
    sys.stdout.buffer.write(os.urandom(4096) + b"\\n")
    sys.stdout.flush()
if fault == "endless line":
    while True:
        sys.stdout.write("x" * 65536)
if fault == "version":
    print(json.dumps({{"message": "hello", "protocol": 2, "runtime": "future"}}), flush=True)
if fault == "fields":
    print(json.dumps({{"message": "hello", "protocol": "one", "runtime": 7}}), flush=True)
if fault == "other answer":
    print(json.dumps({{"message": "goodbye"}}), flush=True)

spec = importlib.util.spec_from_file_location("engine", {str(ENGINE)!r})
source = open({str(ENGINE)!r}).read()
head, loop = source.split("network = images = None")
space = {{"__name__": "engine"}}
exec(head, space)
network_of, write = space["Network"], space["write"]

class Network(network_of):
    def __call__(self, images):
        logits = super().__call__(images)
        if fault == "nan":
            logits[3, 3] = np.nan
        if fault == "shape":
            return logits[:, :9]
        if fault == "dtype":
            return logits.astype(np.float64)
        if fault == "wrong":
            return logits[:, ::-1].copy()
        if fault == "too much":
            return np.zeros((10**6, 10), np.float32)
        if fault == "dies":
            os.kill(os.getpid(), 11)
        if fault in ("children", "others", "leaves one"):
            import subprocess
            child = subprocess.Popen(
                [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=fault != "children"
            )
            open({str(PIDS)!r}, "w").write(str(child.pid))
            time.sleep(0 if fault == "leaves one" else 600)
        if fault == "few":
            return logits[:1]
        if fault == "breaks off":
            arrays = [{{"name": "logits", "dtype": "float32", "shape": [999, 10]}}]
            print(json.dumps({{"message": "answers", "arrays": arrays}}), "1234", sep="\\n", end="")
            sys.stdout.flush()
            os._exit(0)
        if fault == "raises":
            write("error", kind="failed", reason="it raised \\x1b[2J \\u202e an error")
            os._exit(0)
        return logits

space["Network"] = Network
if fault == "precision":
    changed = {{"inspected": {{"precision": "fp16"}}}}
    space["write"] = lambda what, *arrays, **fields: write(what, *arrays, **(fields | changed.get(what, {{}})))
if fault == "stays":
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.argv[1:] = sys.argv[2:]
exec("network = images = None" + loop, space)
if fault == "stays":
    time.sleep(600)
"""
FAULTS = [
    ("nothing", 3, "its process ended with status 0: without a word"),
    ("last words", 3, "ended with status 7: cannot open shared object \ufffd[31m"),
    ("hang", 3, "it took longer than 3 s and was stopped"),
    ("garbage", 3, "it does not speak the protocol: this is no JSON: 'Welcome to engine 2.0!"),
    ("binary", 3, "it does not speak the protocol"),
    ("endless line", 3, "it does not speak the protocol"),
    ("version", 3, "it speaks version 2 of the protocol, not 1"),
    ("fields", 3, "its answer 'hello' is not as it should be"),
    ("other answer", 3, "it answers 'goodbye' to 'hello', and not 'hello'"),
    ("too much", 3, "is too much"),
    ("dies", 3, "its process was killed by SIGSEGV"),
    ("children", 3, "it took longer than 3 s"),
    ("others", 3, "it took longer than 3 s"),
    ("leaves one", 0, ""),
    ("breaks off", 3, "an array broke off"),
    ("nan", 1, "images have logits that are not finite"),
    ("shape", 1, "instead of float32"),
    ("dtype", 1, "instead of float32"),
    ("wrong", 1, "certified images are predicted differently"),
    ("raises", 1, "it failed: it raised \ufffd[2J \ufffd an error"),
    ("precision", 1, "it runs in fp16, not in fp32 as claimed"),
    ("stays", 0, ""),
]


@pytest.mark.parametrize(("fault", "code", "words"), FAULTS, ids=[fault for fault, *_ in FAULTS])
def test_what_a_worker_does_wrong_is_one_line_and_harms_nobody(
    fault: str,
    code: int,
    words: str,
    own_copy: Path,
    tmp_path: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "bad.py").write_text(BAD_ENGINE)
    bad = f"{shlex.quote(sys.executable)} {tmp_path / 'bad.py'} '{fault}' {{model}}"
    good = f"{shlex.quote(sys.executable)} {shlex.quote(str(ENGINE))} {{model}}"
    limit = 3 if fault in ("hang", "children", "others") else 120  # a busy machine takes seconds to start a program
    both = ("--command", bad, "--command", good, "--format", "weights", "--time-limit", limit)
    assert run(*QUICK, "-q", "--json", "found.json", *both) == code
    err = capsys.readouterr().err
    assert err.count("\n") == (1 if code else 0), err
    assert words in err
    assert not any(ord(letter) < 32 and letter != "\n" for letter in err)
    if PIDS.exists():  # whatever a worker started, and wherever that went: it is gone too
        pid = int(PIDS.read_text())
        PIDS.unlink()
        assert not [one for one in psutil.process_iter() if one.pid == pid and lives(one)]
    found = json.loads(Path("found.json").read_text())
    fine = [
        one for one in found["results"] if not one["failures"] and one["configuration"]["runtime"] == "numpy-engine"
    ]
    assert fine  # the other target is unharmed
    assert bool(found["unreachable"]) is (code == 3)
    if code == 3:
        saved = store.read(Path("found.json"), ParityRecord)
        import mnist_bench.report as report

        text = report.render("markdown", list(report.parity_tables(saved, report.ViewOptions())))
        assert "No result" in text


def test_answers_to_a_part_of_what_was_asked_are_not_timed(
    own_copy: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnist_bench.bench.session.probe", lambda *_: Probed((), {}))
    (tmp_path / "bad.py").write_text(BAD_ENGINE)
    bad = f"{shlex.quote(sys.executable)} {tmp_path / 'bad.py'} few {{model}}"
    options = ("--quick", "--allow-busy", "--threads", "1", "--batch-size", "128", "--format", "weights", "-q")
    assert run("bench", *options, "--command", bad) == 3
    assert "images were asked" in capsys.readouterr().err


def test_a_benchmark_of_a_program_goes_on_only_where_the_program_is_named_again(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnist_bench.bench.session.probe", lambda *_: Probed((), {}))
    monkeypatch.setattr("mnist_bench.cli._bench.QUICK_BLOCKS", 2)
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(ENGINE))} {{model}}"
    options = ("--quick", "--allow-busy", "--threads", "1", "--batch-size", "1", "--format", "weights", "-q")
    assert run("bench", *options, "--command", command) == 0
    whole = store.load(own_copy, InferenceBenchRecord)
    assert whole
    half = replace(
        whole, blocks=whole.blocks[:1], rows=tuple(replace(row, samples=row.samples[:1]) for row in whole.rows)
    )
    store.save_unfinished(own_copy, half)
    capsys.readouterr()
    assert run("bench", "--resume", "--allow-busy", "-q") == 2
    assert "the saved plan is of other hosts" in capsys.readouterr().err
    assert run("bench", "--resume", "--allow-busy", "-q", "--command", "./another {model}") == 2
    assert run("bench", "--resume", "--allow-busy", "-q", "--command", command) == 0
    resumed = store.load(own_copy, InferenceBenchRecord)
    assert resumed
    assert [len(row.samples) for row in resumed.rows] == [2]


def test_a_worker_that_waits_for_its_turn_is_not_out_of_time(exported: Path) -> None:
    record = store.load_record(exported)
    wanted = parity.Wanted(("torch-eager",))
    (target,) = parity.find_targets(exported, record, wanted).ready
    from mnist_bench.parity._asking import Workers

    with Workers(hosts.Limits(20.0)) as workers:
        with workers.asked(target) as first:
            first.greet("torch-eager")
        assert first._timer.finished.is_set()  # it has all the time there is until it is asked again
        with workers.asked(target) as second:
            assert second is first
            second.greet("torch-eager")
        first.kill()
        first._process.wait()
        with workers.asked(target) as third:
            assert third is not first
            third.greet("torch-eager")


def test_two_hosts_of_one_name_are_refused(run: Run, own_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*QUICK, "--command", "ssh -p 1 a", "--command", "ssh -p 2 b") == 2
    assert "two hosts would both be called 'ssh'" in capsys.readouterr().err
    assert hosts.launch(hosts.Host("command", "ssh board mnist-bench serve")).label == "ssh board"
    assert run(*QUICK, "--host", "python:'") == 2
    assert "check its quotation marks" in capsys.readouterr().err


def test_a_program_that_is_not_there_is_named(own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*QUICK, "-q", "--command", "./engine {model}") == 3
    assert "./engine cannot be started: No such file or directory" in capsys.readouterr().err
    assert run(*QUICK, "-q", "--command", "./engine 'half") == 2
    assert "quotation marks" in capsys.readouterr().err
    assert run(*QUICK, "-q", "--command", " ") == 2
    assert run(*QUICK, "-q", "--command", "./engine", "--format", "poem") == 2
    assert "no format 'poem': choose from" in capsys.readouterr().err
    assert run(*QUICK, "-q", "--command", "./engine", "--precision", "bf16") == 2
    assert "the run holds no onnx file in bf16" in capsys.readouterr().err


def test_a_worker_that_times_wrongly_is_no_row(own_copy: Path) -> None:
    """Times are positive, and as many as were asked for."""

    def answering(times: Any) -> Any:
        engine = ENGINE.read_text().replace("np.array(times, np.int64)", times)
        (own_copy / "engine.py").write_text(engine)
        return hosts.started(
            hosts.launch(hosts.Host("command", f"{sys.executable} {own_copy / 'engine.py'}")),
            None,
            hosts.Limits(60),
        )

    timing = hosts.Timing(batch_size=1, calls=5, warm_up_calls=0, warm_up_s=0.0, answers=0)
    for times in ("np.zeros(5, np.int64)", "np.ones(4, np.int64)", "np.ones(5, np.float64)"):
        with answering(times) as worker:
            worker.greet("")
            worker.open(weights(own_copy), runtimes.Spec())
            with pytest.raises(Unreachable, match="its times are not 5 positive int64"):
                worker.time(IMAGES, timing)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_a_worker_has_no_more_memory_than_it_may(exported: Path) -> None:
    limits = hosts.Limits(60, 60 * 1024**2)
    with (
        hosts.started(hosts.launch(hosts.HERE), None, limits) as worker,
        pytest.raises((Unreachable, RuntimeFailed), match=r"(?i)memory|cannot allocate|map segment"),
    ):
        worker.greet("torch-eager")


# Hosts


@pytest.mark.parametrize("name", hosts.names())
def test_every_host_keeps_the_contract(name: str) -> None:
    module = hosts.load(name)
    assert module.__doc__
    launch = module.launch("python" if module.ARGUMENT else "")
    assert launch.command
    assert isinstance(module.TIMED, bool)


@pytest.mark.parametrize(
    ("text", "words"),
    [("mars", "no 'mars' among the hosts"), ("here:x", "takes no argument"), ("command", "needs an argument")],
)
def test_hosts_that_make_no_sense_are_refused(text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        hosts.named(text)


def test_without_qemu_an_emulated_processor_says_what_installs_it(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert run(*QUICK, "-q", "--host", "haswell") == 3
    assert "qemu-x86_64 is not installed; apt-get install qemu-user" in capsys.readouterr().err
