"""`bench`, `compare` and `env` on a run of the digits: few blocks and no warm-up, since these tests assert no time."""

import contextlib
import dataclasses
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from msgspec.structs import replace

from mnist_bench import environment, hosts, parity, runtimes, store
from mnist_bench.bench import inference, loadgen, session
from mnist_bench.bench._messages import Probed
from mnist_bench.cli import _bench
from mnist_bench.core import child
from mnist_bench.core.bench_types import (
    BenchPlan,
    GateRecord,
    InferenceBenchRecord,
    SelfTestRecord,
    TrainingBenchRecord,
)
from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import Unreachable
from mnist_bench.core.kinds import SCENARIOS, Skipped
from tests.bench import made
from tests.conftest import Run, export_into, heeds_ctrl_c, made_once
from tests.processes import lives, words_of

BLOCKS = 2
ORT = ("--runtime", "onnxruntime", "--threads", "1")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two blocks, no warm-up, no probing, no look at what else this machine does."""
    for name in ("QUICK_BLOCKS", "BLOCKS", "GATE_BLOCKS"):
        monkeypatch.setattr(_bench, name, BLOCKS)
    monkeypatch.setattr(_bench, "BenchPlan", functools.partial(BenchPlan, warm_up_s=0.0, warm_up_calls=1))
    monkeypatch.setattr(
        session, "probe", lambda _device, threads: Probed(tuple(made.limits(count) for count in threads), {})
    )
    monkeypatch.setattr(environment, "conditions", lambda _device: made.CONDITIONS)


@pytest.fixture
def few(shared: Path, light: Path) -> Path:
    """The folder of a run with ONNX files and a TorchScript file; to read and never to write."""

    def make(folder: Path) -> None:
        shutil.copytree(light, folder)
        export_into(folder, ["torchscript"])

    return made_once(shared / "few" / "digits-relu", make)


@pytest.fixture
def here(few: Path, tmp_path: Path, leaving_nothing: None) -> Path:
    """A copy of it below the working directory, where the command line finds it."""
    return Path(shutil.copytree(few, tmp_path / "exports" / "digits-relu"))


@pytest.fixture
def everything(own_copy: Path, leaving_nothing: None) -> Path:
    """A run's folder there with every file that can be exported here."""
    return own_copy


@pytest.fixture
def leaving_nothing(run: Run) -> Iterator[None]:
    """No process is left behind."""
    yield
    left = [words_of(process) for process in psutil.Process().children(recursive=True)]
    assert not [line for line in left if "mnist_bench.core.child" in line or "mnist_bench.worker" in line]


@pytest.fixture
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a runtime's targets, the one in float32 alone: each takes a process a block."""
    real = inference.targets_under_test

    def chosen(*arguments: Any) -> Any:
        found, skipped = real(*arguments)
        return [one for one in found if one.precision == "fp32"], skipped

    monkeypatch.setattr(inference, "targets_under_test", chosen)


def bench(run: Run, *options: str) -> int:
    return run("bench", "--run", "digits-relu", "--quick", *options)


class Pretended:
    """A worker that says at once, of every call, that it took as long as it is told to."""

    def __init__(self, asked: list[str], seconds: Callable[[str], float]) -> None:
        self._asked, self._seconds = asked, seconds

    def greet(self, runtime: str, _device: str) -> hosts.Hello:
        self._asked.append(runtime)
        return hosts.Hello(protocol=1, runtime=runtime, version="1", import_s=1.0)

    def open(self, _model: Any, _spec: Any) -> hosts.Opened:
        return hosts.Opened(load_s=1.0)

    def time(self, _images: Any, _timing: Any) -> hosts.Timed:
        return hosts.Timed(1.0, 50, 1.0, (self._seconds(self._asked[-1]),) * 20, 1, None, None)

    def inspect(self) -> hosts.Inspected:
        return hosts.Inspected(provider="CPU", precision="fp32")


def pretending(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[str], float]) -> list[str]:
    """Let workers pretend; return the list of whose were started."""
    asked: list[str] = []

    @contextlib.contextmanager
    def started(*_: Any) -> Iterator[Any]:
        yield Pretended(asked, seconds)

    monkeypatch.setattr(hosts, "started", started)
    return asked


def lying(monkeypatch: pytest.MonkeyPatch, lies: Callable[[hosts.Timing, int], bool]) -> None:
    """Turn the answers of some timings round; the number is how many timings there were of that batch size."""
    real, count = hosts.Worker.time, Counter[int]()

    def time(self: hosts.Worker, images: Any, timing: hosts.Timing) -> hosts.Timed:
        found = real(self, images, timing)
        count[timing.batch_size] += 1
        turned = lies(timing, count[timing.batch_size]) and found.logits is not None
        return (
            dataclasses.replace(found, logits=found.logits[:, ::-1]) if turned and found.logits is not None else found
        )

    monkeypatch.setattr(hosts.Worker, "time", time)


def test_a_quick_benchmark_of_two_runtimes(here: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(run, "--runtime", "onnxruntime", "--runtime", "null", "--json", "-") == 0
    out, _ = capsys.readouterr()
    assert json.loads(out)["name"] == "digits-relu"
    saved = store.load(here, InferenceBenchRecord)
    assert saved is not None
    assert saved.finished
    assert saved.failures == ()
    cores = environment.available_cores()
    rows = {(row.configuration.target, row.configuration.batch_size, row.configuration.threads) for row in saved.rows}
    targets = {"onnxruntime", "onnxruntime fp16", "onnxruntime int8", "onnxruntime int8-dynamic", "null"}
    assert rows == {(target, batch, threads) for target in targets for batch in (1, 128) for threads in {1, cores}}
    for row in saved.rows:
        assert len(row.samples) == BLOCKS
        assert {len(sample.times_s) for sample in row.samples} == {1_000 if row.configuration.batch_size == 1 else 120}
        if row.configuration.precision == "fp32" and row.configuration.runtime != "null":
            assert (row.checked, row.deviations) == ("within tolerance", 0)
    assert run("report", "--table", "latency", "--format", "csv") == 0
    shown = capsys.readouterr().out
    assert "onnxruntime int8-dynamic" in shown
    assert "p99" in shown


def test_the_null_runtime_s_row_shows_what_the_harness_costs(here: Path, run: Run) -> None:
    assert bench(run, "--runtime", "null", "--threads", "1", "--batch-size", "1") == 0
    saved = store.load(here, InferenceBenchRecord)
    assert saved is not None
    (row,) = saved.rows
    assert (row.configuration.runtime, row.checked) == ("null", "answers nothing")
    assert all(sample.peak_resident_bytes for sample in row.samples)


def test_wrong_answers_are_not_timed(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lying(monkeypatch, lambda timing, _: timing.batch_size == 128)
    assert bench(run, "--runtime", "torch-eager", "--threads", "1") == 0
    saved = store.load(here, InferenceBenchRecord)
    assert saved is not None
    assert [row.configuration.batch_size for row in saved.rows] == [1]
    assert [len(row.samples) for row in saved.rows] == [BLOCKS]
    (failure,) = saved.failures
    assert failure.reason.startswith("wrong answers: ")
    assert (failure.block, failure.threads, failure.batch_size) == (0, 1, 128)


@pytest.mark.usefixtures("float32")
def test_a_file_that_is_swapped_while_it_is_benchmarked_is_not_what_is_timed(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is opened in every block is what was hashed before the first."""
    started, contents = hosts.started, []

    @contextlib.contextmanager
    def swapping(launch: hosts.Launch, model: Any, limits: hosts.Limits) -> Iterator[hosts.Worker]:
        contents.append(model.content)
        (here / "model.onnx").write_bytes((here / "model-fp16.onnx").read_bytes())
        with started(launch, model, limits) as worker:
            yield worker

    whole = (here / "model.onnx").read_bytes()
    monkeypatch.setattr(hosts, "started", swapping)
    assert bench(run, *ORT, "--batch-size", "1", "--threads", "1") == 0
    saved = store.load(here, InferenceBenchRecord)
    assert saved is not None
    assert saved.failures == ()
    assert [row.sha256 for row in saved.rows] == [sha256(whole)]
    assert contents == [whole] * BLOCKS


def test_answers_that_go_wrong_later_are_not_timed(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process answers the images on which it is timed, in every block."""
    lying(monkeypatch, lambda _, number: number > 1)
    only = ("--runtime", "torch-eager", "--threads", "1", "--batch-size", "1")
    assert bench(run, *only) == 0
    saved = store.load(here, InferenceBenchRecord)
    assert saved is not None
    (failure,) = saved.failures
    assert failure.reason.startswith("wrong answers: ")
    assert (failure.block, failure.threads, failure.batch_size) == (1, 1, 1)


def test_a_process_that_hangs_becomes_a_reason(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = hosts.started

    def hasty(launch: hosts.Launch, model: Any, limits: hosts.Limits) -> Any:
        short = dataclasses.replace(limits, time_s=0.3) if model.format == "weights" else limits
        return started(launch, model, short)

    monkeypatch.setattr(hosts, "started", hasty)
    assert bench(run, "--runtime", "torch-eager", "--runtime", "null", "--threads", "1") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "torch-eager block 1: it took longer than 0.3 s and was stopped" in out
    assert "null" in out


def test_a_process_that_runs_out_of_memory_becomes_a_reason(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "memory_limit", lambda _device: 60 * 1024**2)
    assert bench(run, "--runtime", "torch-eager", "--threads", "1") == 3
    assert store.load(here, InferenceBenchRecord) is None
    saved = store.load_unfinished(here, InferenceBenchRecord)
    assert saved is not None
    assert len(saved.failures) == 1
    assert "memory" in saved.failures[0].reason.lower()
    assert saved.rows == ()
    assert run("bench", "--resume", "--quiet") == 3  # nothing was measured, and that is no success now either


def test_training_engines_are_measured_by_the_epoch(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_bench, "QUICK_BLOCKS", 1)
    assert bench(run, "--training", "--engine", "preallocated") == 0
    saved = store.load(here, TrainingBenchRecord)
    assert saved is not None
    assert {row.configuration.runtime for row in saved.rows} == {"preallocated"}
    epochs = 60_000 // 1_437
    assert {len(sample.times_s) for row in saved.rows for sample in row.samples} == {epochs}
    assert {sample.images for row in saved.rows for sample in row.samples} == {1_437}
    assert "Samples/s" in capsys.readouterr().out
    assert store.load(here, InferenceBenchRecord) is None


def test_an_engine_that_trains_something_else_is_not_timed(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = child.call

    def without_a_half(function: str, request: Any, result_type: Any, **limits: Any) -> Any:
        found = call(function, request, result_type, **limits)
        return tuple(loss / 2 for loss in found) if function.endswith("epoch_losses") else found

    monkeypatch.setattr(child, "call", without_a_half)
    assert bench(run, "--training", "--engine", "eager") == 3
    saved = store.load_unfinished(here, TrainingBenchRecord)
    assert saved is not None
    assert "it trains something else: loss" in saved.failures[0].reason


@pytest.mark.usefixtures("float32")
def test_a_stopped_benchmark_goes_on(here: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(run, *ORT, "--batch-size", "1") == 0
    whole = store.load(here, InferenceBenchRecord)
    assert whole is not None
    stopped = replace(
        whole, blocks=whole.blocks[:1], rows=tuple(replace(row, samples=row.samples[:1]) for row in whole.rows)
    )
    store.save_unfinished(here, stopped)
    capsys.readouterr()
    assert run("bench", "--resume", "--quiet") == 0
    resumed = store.load(here, InferenceBenchRecord)
    assert store.load_unfinished(here, InferenceBenchRecord) is None
    assert resumed is not None
    assert resumed.finished
    assert len(resumed.resumed_at) == 1
    assert [row.samples[0] for row in resumed.rows] == [row.samples[0] for row in stopped.rows]
    assert resumed.blocks[1].order == whole.blocks[1].order


@pytest.mark.usefixtures("float32")
def test_what_changed_since_the_first_blocks_is_not_gone_on_with(
    here: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(run, *ORT, "--batch-size", "1", "--quiet") == 0
    whole = store.load(here, InferenceBenchRecord)
    assert whole is not None
    changed = replace(whole, rows=(replace(whole.rows[0], sha256="2" * 64), *whole.rows[1:]))
    store.save_unfinished(here, changed)
    assert run("bench", "--resume") == 2
    assert "changed since the first blocks were measured" in capsys.readouterr().err
    fewer = replace(whole, blocks=(replace(whole.blocks[0], order=("null",)), *whole.blocks[1:]))
    store.save_unfinished(here, fewer)
    assert run("bench", "--resume") == 2
    assert "the targets that are here changed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights_sha256": "1" * 64}, "was trained further since"),
        ({"environment": made.ENVIRONMENT}, "not the machine that the benchmark began on"),
    ],
)
def test_what_cannot_be_gone_on_with_is_refused(
    change: dict[str, Any], words: str, here: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    record = store.load_record(here)
    assert record.checkpoint is not None
    fields: dict[str, Any] = {"weights_sha256": record.checkpoint.weights.sha256, "environment": environment.collect()}
    store.save_unfinished(here, made.record(**fields | change))
    assert run("bench", "--resume") == 2
    assert words in capsys.readouterr().err


def test_ctrl_c_keeps_the_blocks_that_are_done_and_leaves_no_process(here: Path) -> None:
    command = [sys.executable, "-m", "mnist_bench", "bench", "--runtime", "null", "--batch-size", "1", "--allow-busy"]
    with subprocess.Popen(
        command,
        cwd=here.parent.parent,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeds_ctrl_c,  # noqa: PLW1509 nothing else runs between fork and exec
    ) as process:
        own = psutil.Process(process.pid)
        deadline = time.monotonic() + 120
        while not (here / "bench-unfinished.json").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        started = own.children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "of 12 blocks are saved: go on with mnist-bench bench --run digits-relu --allow-busy --resume" in err
    saved = store.load_unfinished(here, InferenceBenchRecord)
    assert saved is not None
    assert 1 <= len(saved.blocks) < 12
    assert {len(row.samples) for row in saved.rows} == {len(saved.blocks)}
    psutil.wait_procs(started, timeout=10)
    assert not [one for one in started if lives(one)]


@pytest.mark.skipif(sys.platform != "linux", reason="a parent's death is told on Linux only")
def test_even_kill_9_leaves_no_process(tmp_path: Path) -> None:
    code = (
        "from mnist_bench.core import child\n"
        "from tests.core.test_child import Text\n"
        "child.call('tests.core.test_child:hang', Text('pid'), type(None), time_limit_s=600)"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}) as process:
        deadline = time.monotonic() + 60
        while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        orphan = psutil.Process(int((tmp_path / "pid").read_text()))
        process.kill()
    psutil.wait_procs([orphan], timeout=10)
    assert not lives(orphan)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--batch-size", "0"], 2, "0 is not positive"),
        (["--batch-size", "9" * 30], 2, "is more than 1,000,000"),
        (["--seed", str(2**63)], 2, "not in the range"),
        (["--run", ""], 2, "it is empty"),
        (["--batch-size", "one"], 2, "not a list of numbers"),
        (["--threads", "4096"], 2, "more than the"),
        (["--runtime", "abacus"], 2, "no 'abacus' among the runtimes"),
        (["--training", "--engine", "abacus"], 2, "no 'abacus' among the engines"),
        (["--device", "gpu"], 2, "unknown device"),
        (["--device", "cuda:99"], 3, "is not available"),
        (["--gate"], 2, "--gate and --baseline belong together"),
        (["--baseline", "null"], 2, "--gate and --baseline belong together"),
        (["--gate", "--baseline", "no such thing"], 2, "is no runtime"),
        (["--gate", "--baseline", "null", "--training"], 2, "--gate is of inference"),
        (["--scenario", "server"], 2, "needs a --rate"),
        (["--scenario", "nonsense"], 2, "nonsense"),
        (["--resume", "--batch-size", "1"], 2, "--batch-size cannot be given with it"),
        (["--resume"], 2, "no unfinished benchmark"),
        (["--gate", "--self-test", "--baseline", "null"], 2, "give one of them"),
        (["--scenario", "server", "--rate", "1e9"], 2, "not in the range"),
        (["--gate", "--baseline", "it's"], 2, "is no runtime"),
        (["--rate", "5"], 2, "--rate is of a --scenario"),
        (["--scenario", "offline", "--rate", "5"], 2, "--rate is of the server scenario"),
        (["--scenario", "offline", "--training"], 2, "--training is not of a --scenario"),
        (["--scenario", "offline", "--quick"], 2, "--quick is not of a --scenario"),
        (["--time-limit", "1e9"], 2, "not in the range"),
        (["--engine", "eager"], 2, "--engine is of training"),
        (["--training", "--runtime", "null"], 2, "--runtime is of inference"),
        (["--time-limit", "nan"], 2, "not a finite number"),
        (["--json", "no/folder/x.json"], 3, "no folder"),
        (["--run", "absent"], 2, "no run 'absent'"),
    ],
)
def test_bad_input_is_refused(
    options: list[str], code: int, words: str, here: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bench", *options) == code
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_a_machine_that_is_too_busy_says_so(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    busy = replace(made.CONDITIONS, busy_share=0.5, steal_share=0.2)
    monkeypatch.setattr(environment, "conditions", lambda _device: busy)
    assert bench(run, "--runtime", "null") == 3
    assert "other processes use 70% of this machine's cores, so timings would be meaningless" in capsys.readouterr().err
    assert bench(run, "--runtime", "null", "--allow-busy", "--quiet") == 0


def test_a_damaged_benchmark_or_one_of_another_schema_is_refused(
    here: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "bench-unfinished.json").write_text('{"schema_version": 99}')
    assert run("bench", "--resume") == 2
    assert "schema version 99, not 1" in capsys.readouterr().err
    (here / "bench.json").write_text("{")
    assert run("report") == 2
    assert "not a readable record" in capsys.readouterr().err


# --- compare ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path: Path, run: Run) -> tuple[Path, Path]:
    """Two records in files: the second is half as fast."""
    paths = tmp_path / "before.json", tmp_path / "after.json"
    for path, factor in zip(paths, (1.0, 2.0), strict=True):
        times = [factor * time for time in (1e-4, 1.01e-4, 0.99e-4, 1.02e-4, 1e-4, 0.98e-4, 1.03e-4, 1e-4)]
        path.write_bytes(store.to_json(made.record([made.row(times)])))
    return paths


def test_compare_says_what_became_slower(two: tuple[Path, Path], run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", *two) == 0
    assert "SLOWER" in capsys.readouterr().out
    assert run("compare", two[1], two[0], "--format", "markdown") == 0
    assert "FASTER" in capsys.readouterr().out
    assert run("compare", two[0], two[0], "--format", "csv") == 0
    out = capsys.readouterr().out
    assert "EQUIVALENT" in out
    assert "SLOWER" not in out
    assert "FASTER" not in out


def test_compare_refuses_unlike_machines_and_things_that_are_no_benchmarks(
    two: tuple[Path, Path], tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.json"
    changed = replace(made.ENVIRONMENT, cpu_model="Slide Rule 7", libraries={"torch": "9"})
    other.write_bytes(store.to_json(made.record([made.row([1e-4] * 8)], environment=changed)))
    assert run("compare", two[0], other) == 2
    assert "cpu model: Abacus 3000 and Slide Rule 7" in capsys.readouterr().err
    assert run("compare", two[0], other, "--allow-unlike") == 0
    assert "torch 2.14.0 and 9" in capsys.readouterr().out
    empty = tmp_path / "empty.json"
    empty.write_bytes(store.to_json(made.record([made.row([])])))
    assert run("compare", empty, two[0]) == 2
    assert "no raw samples" in capsys.readouterr().err
    other.write_text('{"schema_version": 1, "name": "x"}')
    assert run("compare", two[0], other) == 2
    assert run("compare", two[0], tmp_path / "absent.json") == 2


# --- gate, self-test, load --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("float32")
def test_a_gate_against_another_interpreter_and_another_run(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_bench, "GATE_BLOCKS", 1)
    shutil.copytree(here, here.parent / "twin")
    for reference in (sys.executable, "twin"):
        options = ("--gate", "--baseline", reference, "--batch-size", "1", *ORT)
        assert run("bench", "--run", "digits-relu", *options) == 0
        assert "INCONCLUSIVE" in capsys.readouterr().out  # one block carries no verdict
        saved = store.load(here, GateRecord)
        assert saved is not None
        assert {row.side for row in saved.rows} == {"candidate", "baseline"}
        assert saved.plan.baseline == reference


@pytest.mark.usefixtures("float32")
def test_a_gate_fails_only_where_a_second_measurement_confirms(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_bench, "GATE_BLOCKS", 8)
    options = ("--gate", "--baseline", "null", "--batch-size", "1", *ORT, "--junit", "gate.xml")
    asked = pretending(monkeypatch, lambda runtime: 1e-3 if runtime == "onnxruntime" else 0.5e-3)
    assert run("bench", "--run", "digits-relu", *options) == 1
    out, err = capsys.readouterr()
    assert "measured again" in out
    assert "1 of 1 rows are slower than null, as a second measurement confirms" in err
    assert len(asked) == 32  # two sides, eight blocks, twice
    assert Path("gate.xml").read_text(encoding="utf-8").count("<failure ") == 1
    slow_once = iter([1e-3] * 8 + [0.5e-3] * 8)
    pretending(monkeypatch, lambda runtime: next(slow_once) if runtime == "onnxruntime" else 0.5e-3)
    assert run("bench", "--run", "digits-relu", *options) == 0
    assert "<failure " not in Path("gate.xml").read_text(encoding="utf-8")
    assert "Only what both measurements call SLOWER fails the gate" in " ".join(capsys.readouterr().out.split())
    assert run("report", "--table", "gate") == 0
    assert "SLOWER" in capsys.readouterr().out
    left = [1e-3] * 8
    pretending(monkeypatch, lambda runtime: pop_or_die(left) if runtime == "onnxruntime" else 0.5e-3)
    assert run("bench", "--run", "digits-relu", *options) == 3  # slower, and then it cannot be measured again
    assert "could not be measured" in capsys.readouterr().err


def pop_or_die(left: list[float]) -> float:
    if not left:
        raise Unreachable("its process was killed by SIGSEGV: without a word")
    return left.pop()


@pytest.mark.usefixtures("float32")
def test_a_self_test_is_saved_and_shown_and_goes_on(here: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bench", "--run", "digits-relu", "--self-test", "--batch-size", "1", *ORT) == 0
    whole = store.load(here, SelfTestRecord)
    assert whole is not None
    rows = tuple(replace(row, samples=row.samples[:1]) for row in whole.rows)
    store.save_unfinished(here, replace(whole, blocks=whole.blocks[:1], rows=rows))
    assert run("bench", "--self-test", "--resume", "--quiet") == 0
    saved = store.load(here, SelfTestRecord)
    assert saved is not None
    assert saved.finished
    assert {row.side for row in saved.rows} == {f"copy {number}" for number in (1, 2, 3, 4)}
    assert "Self-test of digits-relu" in capsys.readouterr().out


def test_without_loadgen_its_scenarios_say_what_installs_it(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loadgen, "find_spec", lambda _name: None)
    assert isinstance(loadgen.why_unavailable(), Skipped)
    assert run("bench", "--scenario", "offline") == 3
    err = capsys.readouterr().err
    assert "skipped: MLPerf LoadGen is not installed" in err
    assert "pip install mlcommons-loadgen" in err


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_loadgen_drives_a_session(scenario: str, here: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mlperf_loadgen")
    options = ["--scenario", scenario, "--duration", "1"]
    options += ["--rate", "1500", "--latency-bound", "1000"] if scenario == "server" else []
    assert run("bench", "--run", "digits-relu", *options, "--runtime", "torchscript") == 0
    summary = (here / "loadgen" / f"{scenario}-torchscript-1" / "mlperf_log_summary.txt").read_text()
    assert "Result is : VALID" in summary
    assert "VALID" in capsys.readouterr().out


def test_a_load_that_is_not_met_is_no_success(here: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mlperf_loadgen")
    options = ("--scenario", "server", "--duration", "0.5", "--rate", "500", "--latency-bound", "0.001")
    assert run("bench", "--run", "digits-relu", *options, "--runtime", "torchscript") == 1
    assert "LoadGen does not accept 1 of 1 results" in capsys.readouterr().err
    assert run("bench", "--run", "digits-relu", *options, "--runtime", "null") == 2
    assert "answers nothing" in capsys.readouterr().err


def test_the_environment_is_shown(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("env", "--format", "json") == 0
    tables = json.loads(capsys.readouterr().out)
    assert "governor" in json.dumps(tables)
    assert "Abacus" not in json.dumps(tables)
    assert run("env", "--device", "cuda:99") == 3


CHEAP = ("torchscript", "onnx-reference")
COSTLY = tuple(name for name in runtimes.names() if name not in (*CHEAP, "null", "onnxruntime"))


@pytest.mark.parametrize(
    ("folder", "names"),
    [("here", CHEAP), pytest.param("everything", COSTLY, marks=pytest.mark.torture)],
    ids=["cheap", "costly"],
)
def test_every_runtime_is_measured_in_a_process_of_its_own(
    folder: str, names: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    here = request.getfixturevalue(folder)
    available = {name for name in names if not runtimes.load(name).why_unavailable()}
    monkeypatch.setattr(_bench, "QUICK_BLOCKS", 1)
    named = [word for name in sorted(available) for word in ("--runtime", name)]
    assert bench(run, *named, "--batch-size", "1", "--threads", "1", "--quiet") == 0
    saved = store.load(here, InferenceBenchRecord)
    assert saved is not None
    assert saved.failures == ()
    assert {row.configuration.runtime for row in saved.rows} == available
    for row in saved.rows:
        (first,) = row.samples
        assert first.import_s is not None
        assert first.load_s is not None
        assert row.sha256 is not None
