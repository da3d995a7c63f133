"""Much of everything: the time and the memory that showing it takes, and that a long training does not grow."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from mnist_bench import store
from mnist_bench.core.types import Record
from tests.bench import made
from tests.study.made import record as study
from tests.torture.harness import START, note, sized

ROWS, PLACES, STUDIES = 10_000, 40, 200  # 250 engines in 8 batch sizes with 5 numbers of threads
MOST_BYTES = 2**30
GROWN = 1.01

MEASURED = """
import resource, subprocess, sys, time
began = time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(done.returncode, time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def measured(folder: Path, *arguments: str) -> tuple[float, int]:
    """Run a command; return the seconds that it took and the most memory that it had, in bytes."""
    command = [sys.executable, "-c", MEASURED, *START, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=200)
    status, seconds, peak = done.stdout.split()
    assert status == "0", done.stderr
    return float(seconds), int(peak)


@pytest.fixture(scope="module")
def many_rows(tmp_path_factory: pytest.TempPathFactory, trained: tuple[Path, Record]) -> Path:
    """A folder of runs, of which one has a benchmark of 10,000 rows."""
    out = tmp_path_factory.mktemp("scale")
    folder = Path(shutil.copytree(trained[0], out / "exports" / "d"))
    checkpoint = store.load_record(folder).checkpoint
    assert checkpoint
    rows = [
        replace(
            row := made.row([1e-5 * (1 + number // PLACES % 17)] * 6),
            configuration=replace(
                row.configuration,
                runtime=f"engine-{number // PLACES}",
                batch_size=2 ** (number % 8),
                threads=1 + number // 8 % 5,
            ),
        )
        for number in range(ROWS)
    ]
    record = replace(made.record(rows), weights_sha256=checkpoint.weights.sha256)
    store.save(folder, record)
    return out


@pytest.mark.parametrize("command", ["report", "csv", "compare"])
def test_ten_thousand_rows(command: str, many_rows: Path) -> None:
    record = "exports/d/bench.json"
    arguments = {
        "report": ("report", "--run", "d"),
        "csv": ("report", "--run", "d", "--format", "csv", "--table", "latency"),
        "compare": ("compare", record, record),
    }[command]
    seconds, peak = measured(many_rows, *arguments)
    note("scale", what=f"{command}, {ROWS} rows", seconds=round(seconds, 2), peak_mb=round(peak / 1e6))
    assert peak < MOST_BYTES


def test_two_hundred_studies(tmp_path: Path, trained: tuple[Path, Record]) -> None:
    folder = Path(shutil.copytree(trained[0], tmp_path / "exports" / "d"))
    assert folder.is_dir()
    own = study()
    for number in range(STUDIES):
        place = tmp_path / "exports" / f"study-{number}"
        place.mkdir()
        store.save(place, replace(own, name=place.name))
    seconds, peak = measured(tmp_path, "report", "--run", "d", "--html")
    note("scale", what=f"page, {STUDIES} studies beside", seconds=round(seconds, 2), peak_mb=round(peak / 1e6))
    named = [word for number in range(STUDIES) for word in ("--study", f"study-{number}")]
    seconds, peak = measured(tmp_path, "report", *named)
    note("scale", what=f"report, {STUDIES} studies", seconds=round(seconds, 2), peak_mb=round(peak / 1e6))
    assert peak < MOST_BYTES


TRAINS = """
import sys
from pathlib import Path
from mnist_bench import data, training
from mnist_bench.core.events import EpochDone
from mnist_bench.core.types import TrainConfig

def resident(event):
    if isinstance(event, EpochDone) and len(event.record.epochs) in (5, int(sys.argv[1])):
        status = Path("/proc/self/status").read_text()
        print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))

dataset = data.load("digits")
record = training.new_record("d", TrainConfig(dataset="digits", epochs=int(sys.argv[1])), dataset)
Path("d").mkdir()
training.train(record, dataset, Path("d"), resident, lambda: None)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is read from /proc")
def test_a_long_training_does_not_grow(tmp_path: Path) -> None:
    epochs = sized(20, 50)
    command = [sys.executable, "-c", TRAINS, str(epochs)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=250)
    early, late = map(int, done.stdout.split())
    note("memory", epochs=epochs, after_5_mb=round(early / 1e3), at_the_end_mb=round(late / 1e3))
    assert late <= GROWN * early
