"""Running commands under torture, and looking at what they leave."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from mnist_bench import store
from mnist_bench.core.study_types import StudyRecord
from mnist_bench.core.types import Manifest, Record
from tests.processes import words_of

FULL = os.environ.get("MNIST_BENCH_TORTURE") == "full"
RESULTS = os.environ.get("MNIST_BENCH_TORTURE_RESULTS")
HERE = Path(__file__).parent
LIMIT_S = 120.0
START = [sys.executable, "-P", "-m", "mnist_bench"]
MARK = "MNIST_BENCH_TORTURED"
"""The environment variable by which processes are recognised that a command has started."""


def sized(sample: int, full: int) -> int:
    """Return how much to do: a sample, or all."""
    return full if FULL else sample


def spread(total: int, most: int) -> list[int]:
    """Return numbers from 1 to `total`, at most so many, evenly spread; the last among them, and mostly the first."""
    count = min(total, most)
    if count <= 1:
        return [total] * count
    return sorted({1 + round(place * (total - 1) / (count - 1)) for place in range(count)})


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative for a signal), what it printed, how long it took."""

    status: int
    out: str
    err: str
    took_s: float

    @property
    def complaints(self) -> list[str]:
        """The lines that say what went wrong."""
        return [line for line in self.err.splitlines() if line.startswith("mnist-bench:")]

    def assert_one_line(self, *statuses: int) -> None:
        """Assert that it ended with one of these, and said why in one line where that is not 0."""
        told = f"exit {self.status}: {self.err[-1500:]}"
        assert self.status in statuses, told
        assert "Traceback" not in self.err, told
        assert len(self.complaints) == bool(self.status), told
        assert "bug:" not in self.err, told


@dataclass
class Commands:
    """Runs commands in a folder, each forked from a process that has imported everything."""

    folder: Path
    process: "subprocess.Popen[str]"
    counter: Path

    def run(
        self,
        *arguments: str,
        kill: Sequence[tuple[int, float]] = (),
        limit_s: float = LIMIT_S,
        variables: Mapping[str, str] | None = None,
    ) -> Ended:
        """Run a command; `kill` are signals, each so many seconds after the one before."""
        out, err = self.folder.parent / "out.txt", self.folder.parent / "err.txt"
        request = {
            "arguments": arguments,
            "folder": str(self.folder),
            "variables": {**(variables or {}), MARK: str(self.folder)},
            "stdout": str(out),
            "stderr": str(err),
            "kill": list(kill),
            "limit_s": limit_s,
        }
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return Ended(answer["status"], out.read_text(), err.read_text("utf-8", "replace"), answer["took_s"])

    def calls(self, *arguments: str, only: str = "") -> int:
        """Run a command and return how many calls it made that change a file below the folder."""
        self.counter.unlink(missing_ok=True)
        ended = self.run(*arguments, variables=self.fault(0, 0, only=only))
        ended.assert_one_line(0)
        return int.from_bytes(self.counter.read_bytes(), sys.byteorder)

    def fault(self, at: int, error: int, *, after: bool = False, only: str = "") -> dict[str, str]:
        """Return the variables that let the n-th such call fail, or kill the process where `error` is 0."""
        self.counter.unlink(missing_ok=True)
        return {
            "TORTURE_BELOW": str(self.folder),
            "TORTURE_COUNTER": str(self.counter),
            "TORTURE_AT": str(at),
            "TORTURE_ERROR": str(error),
            "TORTURE_AFTER": str(int(after)),
            "TORTURE_CALLS": only,
        }


def started(folder: Path, shim: Path | None) -> Iterator[Commands]:
    """Start the process that forks commands, with the fault injector where there is one."""
    work = folder / "work"
    work.mkdir(parents=True)
    environment = dict(os.environ) | {"OMP_NUM_THREADS": "1", "TMPDIR": str(folder / "tmp"), "COLUMNS": "100"}
    environment |= {"LD_PRELOAD": str(shim)} if shim else {}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parent.parent), environment.get("PYTHONPATH", "")])
    (folder / "tmp").mkdir()
    with subprocess.Popen(
        [sys.executable, "-P", str(HERE / "zygote.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield Commands(work, process, folder / "counter")


def compiled_shim(folder: Path) -> Path:
    """Compile the fault injector; skip where there is no compiler for it, or no such preloading."""
    if sys.platform != "linux" or not shutil.which("gcc"):
        pytest.skip("the fault injector needs Linux and gcc")
    target = folder / "shim.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(target), str(HERE / "shim.c"), "-ldl"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return target


OF_A_RUN = re.compile(
    r"run\.json|manifest\.json|parity\.json|processors\.json|bench(-unfinished)?\.json|report\.html|figures|\.lock|\.derived"
    r"|(weights|optimizer)-\d{3}p?-[0-9a-f]{8}\.safetensors|model\S*\.(onnx|ts|pt2)|study\.json"
)


def assert_sound(folder: Path, *, swept: bool = True) -> Record:
    """Assert that a run's folder holds one whole state: its record, its checkpoint, all that its manifest names.

    Args:
        folder: the run's.
        swept: also assert that nothing else lies there; a run that was opened has been swept.
    """
    record = store.load_record(folder)
    if record.checkpoint:
        store.load_weights(folder, record.checkpoint.weights)
        assert record.checkpoint.optimizer
        store.content(folder, record.checkpoint.optimizer)
    manifest = store.load(folder, Manifest)
    for artifact in manifest.artifacts if manifest else ():
        store.contents(folder, artifact)
    if swept:
        with store.locked(folder):
            pass
        left = [path.name for path in folder.iterdir() if not OF_A_RUN.fullmatch(path.name)]
        assert not left, left
    return record


def reached(folder: Path) -> str:
    """Return the SHA-256 of the weights that a run has reached."""
    checkpoint = store.load_record(folder).checkpoint
    assert checkpoint
    return checkpoint.weights.sha256


def assert_study_sound(folder: Path) -> None:
    """Assert that a study's folder, if there is one yet, holds one whole record and nothing else."""
    if folder.exists():
        if store.exists(folder, StudyRecord):
            store.load_study(folder)
        with store.locked(folder, StudyRecord):
            pass
        assert {path.name for path in folder.iterdir()} <= {"study.json", ".lock", ".derived"}


def assert_no_orphans(folder: Path, within_s: float = 10.0) -> None:
    """Assert that no process lives that a command in a folder has started."""
    end = time.monotonic() + within_s
    while alive := list(_marked(str(folder))):
        if time.monotonic() > end:
            raise AssertionError(f"still alive: {[words_of(one) for one in alive]}")
        time.sleep(0.05)


def _marked(folder: str) -> Iterator[psutil.Process]:
    for one in psutil.process_iter():
        try:
            if one.environ().get(MARK) == folder and one.status() != psutil.STATUS_ZOMBIE:
                yield one
        except psutil.Error:
            continue


def note(name: str, **figures: float | int | str) -> None:
    """Keep what was done, for docs/reliability.md, where a file for it is named."""
    if RESULTS:
        with Path(RESULTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"test": name, **figures}) + "\n")


SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
