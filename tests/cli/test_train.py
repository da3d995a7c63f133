import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from mnist_bench import store
from mnist_bench.core.types import Record
from tests.conftest import Run, heeds_ctrl_c
from tests.documents import unsealed

DIGITS = ("train", "--dataset", "digits", "--epochs", 2)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what stderr says, which must be a single line of ours."""
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    assert err.startswith("mnist-bench: ")
    return err


def record(name: str = "digits-relu") -> Record:
    return store.load_record(Path("exports") / name)


def test_training_prints_progress_tables_and_saves(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*DIGITS) == 0
    out, err = capsys.readouterr()
    assert [line.split(":")[0] for line in err.splitlines()] == ["digits-relu", "epoch 1/2", "epoch 2/2"]
    for heading in ("Run", "Epochs of digits-relu", "Overfitting", "Convergence", "Classes of", "Confusions of"):
        assert f"\n{heading}" in f"\n{out}"
    assert record().final


def test_both_activations_are_two_runs_side_by_side(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*DIGITS, "--activation", "both", "--run", "pair") == 0
    assert "pair-sigmoid - pair-relu" in capsys.readouterr().out
    assert (record("pair-relu").config.activation, record("pair-sigmoid").config.activation) == ("relu", "sigmoid")


def test_json_to_stdout_is_the_record_alone(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*DIGITS, "--json", "-", "--quiet") == 0
    out, err = capsys.readouterr()
    assert msgspec.json.decode(unsealed(out.encode()), type=Record) == record()
    assert err == ""
    assert run(*DIGITS, "--json", "-", "--activation", "both", "--run", "pair", "--quiet") == 0
    assert [item["name"] for item in json.loads(capsys.readouterr().out)] == ["pair-relu", "pair-sigmoid"]


def test_json_to_a_file_leaves_the_tables(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*DIGITS, "--json", "record.json") == 0
    assert "Overfitting" in capsys.readouterr().out
    assert store.read(Path("record.json"), Record) == record()


def test_an_existing_run_is_never_overwritten_without_being_told(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*DIGITS, "-q") == 0
    before = record()
    assert run(*DIGITS, "-q", "--seed", 1) == 2
    assert "--resume, replace it with --overwrite, or choose another --run" in one_line(capsys)
    assert record() == before
    assert run(*DIGITS, "-q", "--seed", 1, "--overwrite") == 0
    assert record().config.seed == 1
    assert len(list(Path("exports/digits-relu").glob("*.safetensors"))) == 2


def test_resume_starts_goes_on_and_is_content(run: Run) -> None:
    assert run(*DIGITS, "-q", "--resume") == 0
    finished = record()
    assert run("train", "--dataset", "digits", "-q", "--resume") == 0
    assert record() == finished
    assert run("train", "--dataset", "digits", "-q", "--resume", "--epochs", 3) == 0
    assert len(record().epochs) == 3


def test_resume_finishes_both(run: Run) -> None:
    assert run(*DIGITS, "-q", "--run", "pair-relu") == 0
    first = record("pair-relu")
    assert run(*DIGITS, "-q", "--run", "pair", "--activation", "both", "--resume") == 0
    assert record("pair-relu") == first
    assert record("pair-sigmoid").final


def test_a_required_accuracy_decides_the_exit_code(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*DIGITS, "-q", "--require-accuracy", 0.5) == 0
    assert run(*DIGITS, "-q", "--require-accuracy", 0.999, "--resume") == 1
    assert "less than the 99.90% required" in one_line(capsys)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--device", "tpu"], 2, "unknown device 'tpu': choose auto, cpu, cuda or cuda:N"),
        (["--device", "cuda:99"], 3, "device 'cuda:99' is not available"),
        (["--epochs", "0"], 2, "--epochs"),
        (["--epochs", "-3"], 2, "--epochs"),
        (["--batch-size", "0"], 2, "--batch-size"),
        (["--lr", "0"], 2, "--lr"),
        (["--lr", "nan"], 2, "nan is not a finite number"),
        (["--lr", "inf"], 2, "inf is not a finite number"),
        (["--require-accuracy", "nan"], 2, "nan is not a finite number"),
        (["--batch-size", str(10**30)], 2, "--batch-size"),
        (["--seed", "-1"], 2, "--seed"),
        (["--threads", "0"], 2, "--threads"),
        (["--threads", "100000"], 2, "more than the"),
        (["--engine", "steam"], 2, "no 'steam' among the engines"),
        (["--dataset", "imagenet"], 2, "no dataset 'imagenet'"),
        (["--run", "x" * 95, "--activation", "both"], 2, "not a plain name"),
        (["--run", ""], 2, "not a plain name"),
        (["--out", "x" * 300], 3, "File name too long"),
        (["--run", "a/b"], 2, "not a plain name"),
        (["--run", ".."], 2, "not a plain name"),
        (["--resume", "--overwrite"], 2, "exclude each other"),
        (["--out", "/proc/nowhere"], 3, "cannot be written"),
        (["--out", "file"], 2, "--out"),
        (["--out", "file/below"], 3, "cannot be written"),
        (["--data-dir", "nowhere"], 2, "--data-dir"),
        (["--lr", "1e30"], 1, "use a smaller --lr"),
        (["--surprise"], 2, "--surprise"),
        (["--json", "nowhere/record.json"], 3, "nowhere/record.json"),
    ],
)
def test_bad_input_is_one_line_and_its_exit_code(
    arguments: list[str], code: int, words: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("in the way")
    assert run(*DIGITS, "-q", *arguments) == code
    assert words in one_line(capsys)
    assert Path("file").read_text() == "in the way"


def test_mnist_without_a_network_names_both_ways_out(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import datasets

    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    assert run("train", "-q") == 3
    err = capsys.readouterr().err
    assert "give --data-dir DIR, or use --dataset digits" in err.splitlines()[-1]
    assert not Path("exports").exists()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (["--lr", "0.5"], "learning_rate was 0.001, not 0.5"),
        (["--seed", "3"], "seed was 0, not 3"),
        (["--epochs", "1"], "has begun epoch 2 already, more than --epochs 1"),
    ],
)
def test_resuming_with_other_settings_is_refused(
    changed: list[str], words: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*DIGITS, "-q") == 0
    before = record()
    assert run("train", "--dataset", "digits", "-q", "--resume", *changed) == 2
    assert words in one_line(capsys)
    assert record() == before


def test_a_damaged_record_or_checkpoint_is_named_and_kept(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*DIGITS, "-q") == 0
    folder = Path("exports/digits-relu")
    weights = next(folder.glob("weights-*"))
    content = weights.read_bytes()
    weights.write_bytes(content[:-1])
    assert run(*DIGITS[:-2], "-q", "--resume", "--epochs", 3) == 2
    assert weights.name in one_line(capsys)
    assert weights.read_bytes() == content[:-1]
    (folder / "run.json").write_text("{")
    assert run(*DIGITS, "-q", "--resume") == 2
    assert "run.json is not a readable record" in one_line(capsys)
    assert run(*DIGITS, "-q") == 2
    assert run(*DIGITS, "-q", "--overwrite") == 0
    assert record().final


def test_overwriting_loses_nothing_before_the_new_run_has_something_to_show(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*DIGITS, "-q") == 0
    before = record()
    assert run(*DIGITS, "-q", "--overwrite", "--lr", "1e30") == 1
    assert record() == before
    assert before.checkpoint
    assert store.load_arrays(Path("exports/digits-relu"), before.checkpoint.weights)


def test_both_are_checked_before_either_is_trained(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*DIGITS, "-q", "--run", "pair-sigmoid", "--activation", "sigmoid") == 0
    assert run(*DIGITS, "-q", "--run", "pair", "--activation", "both") == 2
    assert "'pair-sigmoid' is already" in one_line(capsys)
    assert not Path("exports/pair-relu").exists()


def test_the_engine_is_a_setting_too(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*DIGITS, "-q") == 0
    assert run("train", "--dataset", "digits", "-q", "--resume", "--epochs", 3, "--engine", "eager") == 2
    assert "engine was onednn, not eager" in one_line(capsys)


def test_overwriting_removes_what_was_made_from_the_old_run(run: Run) -> None:
    assert run(*DIGITS, "-q") == 0
    assert run("report", "--figures") == 0
    assert list(Path("exports/digits-relu/figures").glob("*.png"))
    Path("exports/digits-relu/figures/mine.txt").write_text("kept")
    assert run(*DIGITS, "-q", "--overwrite") == 0
    assert [path.name for path in Path("exports/digits-relu/figures").iterdir()] == ["mine.txt"]


def test_what_is_no_file_is_written_to_and_not_replaced(run: Run) -> None:
    Path("link.json").symlink_to("real.json")
    Path("real.json").write_text("old")
    assert run(*DIGITS, "-q", "--json", "link.json") == 0
    assert Path("link.json").is_symlink()
    assert json.loads(Path("real.json").read_text())["name"] == "digits-relu"
    assert run(*DIGITS, "-q", "--resume", "--json", "/dev/null") == 0
    assert Path("/dev/null").is_char_device()


def test_a_data_folder_from_the_environment_matters_only_where_data_are_looked_up(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNIST_BENCH_DATA", "/nowhere")
    assert run(*DIGITS, "-q") == 0
    assert run("report", "--table", "run") == 0
    capsys.readouterr()
    assert run("train", "-q") == 2
    assert "data folder /nowhere is not there" in one_line(capsys)


@pytest.mark.skipif(os.name != "posix", reason="pipes as POSIX has them")
def test_a_reader_that_goes_away_stops_nothing(tmp_path: Path) -> None:
    train = f"{sys.executable} -m mnist_bench train --dataset digits --epochs 20"
    subprocess.run(["bash", "-c", f"{train} 2>&1 | head -1"], cwd=tmp_path, check=True, capture_output=True)
    assert store.load_record(tmp_path / "exports" / "digits-relu").final
    report = f"set -o pipefail; {sys.executable} -m mnist_bench report | head -1"
    done = subprocess.run(["bash", "-c", report], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    full = subprocess.run(["bash", "-c", f"{sys.executable} -m mnist_bench report > /dev/full"], cwd=tmp_path,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert (full.returncode, full.stderr.count("\n")) == (3, 1)


# Signals, in processes of their own.

LONG = ("train", "--dataset", "digits", "--epochs", "60", "--run", "long", "--threads", "1")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mnist_bench", *LONG, *arguments]
    return subprocess.Popen(
        command,
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=heeds_ctrl_c,  # noqa: PLW1509 nothing else runs between fork and exec
    )


def wait_for_epoch(process: subprocess.Popen[str], epoch: int) -> None:
    assert process.stderr
    for line in process.stderr:
        if line.startswith(f"epoch {epoch}/"):
            return
    raise AssertionError(f"ended before epoch {epoch}: exit code {process.wait()}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The weights' SHA-256 of the long run, never interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    process = start(folder, "--quiet")
    process.communicate()
    assert process.returncode == 0
    return sha(folder)


def sha(folder: Path) -> str:
    checkpoint = store.load_record(folder / "exports" / "long").checkpoint
    assert checkpoint
    return checkpoint.weights.sha256


def finish(folder: Path) -> None:
    process = start(folder, "--resume", "--quiet")
    _, err = process.communicate()
    assert (process.returncode, err) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_resume_goes_on(number: signal.Signals, code: int, whole: str, tmp_path: Path) -> None:
    process = start(tmp_path)
    wait_for_epoch(process, 3)
    process.send_signal(number)
    out, err = process.communicate()
    assert process.returncode == code
    assert out == ""
    assert "go on with mnist-bench train --run long --resume" in err.splitlines()[-1]
    stopped = store.load_record(tmp_path / "exports" / "long")
    assert 3 <= len(stopped.epochs) < 60
    finish(tmp_path)
    assert sha(tmp_path) == whole
    assert len(store.load_record(tmp_path / "exports" / "long").resumed_at) == 1


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_kill_9_at_any_moment_loses_at_most_an_epoch(whole: str, tmp_path: Path) -> None:
    for attempt in range(3):
        process = start(tmp_path, "--resume")
        wait_for_epoch(process, 5 * attempt + 3)
        time.sleep(0.017 * attempt)
        process.kill()
        process.communicate()
        assert len(store.load_record(tmp_path / "exports" / "long").epochs) >= 5 * attempt + 3
    finish(tmp_path)
    assert sha(tmp_path) == whole
    left = {path.name.partition("-")[0] for path in (tmp_path / "exports" / "long").iterdir()}
    assert left <= {"run.json", "weights", "optimizer", ".lock"}
