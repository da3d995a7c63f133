"""A folder of anybody's own images, through the commands."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mnist_bench import data, store
from mnist_bench.analysis.classes import names
from mnist_bench.core.types import ParityRecord, Record
from tests.conftest import Run
from tests.data.made import png_folder, some, write_folders, write_png

VERIFY = ("verify", "--runtime", "onnxruntime", "--threads", "1", "--batch-size", "128", "--quiet")


def record(name: str) -> Record:
    return store.load_record(Path("exports") / name)


@pytest.fixture
def folder(tmp_path: Path, digits: data.Dataset) -> Path:
    return png_folder(tmp_path / "my digits", digits)


def test_all_commands_know_it_by_its_path(
    folder: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", "--dataset", "./my digits", "--epochs", "3") == 0
    assert "200 images of …/my digits" in capsys.readouterr().err
    saved = record("my-digits-relu")
    assert saved.config.dataset == saved.dataset.name == str(folder)
    assert (saved.dataset.train_images, saved.dataset.test_images) == (200, 100)
    assert saved.dataset.classes == tuple("0123456789")
    assert run("train", "--dataset", folder, "--epochs", "4", "--resume", "-q") == 0
    assert run("export", "--format", "onnx", "-q") == 0
    assert run(*VERIFY) == 0
    compared = store.load(Path("exports/my-digits-relu"), ParityRecord)
    assert compared
    assert (compared.dataset, compared.classes, len(compared.labels)) == (str(folder), saved.dataset.classes, 100)
    assert run("report", "--html") == 0
    page = Path("exports/my-digits-relu/report.html").read_text(encoding="utf-8")
    assert "on …/my digits, trained" in page
    assert "data:image/png" in page
    assert f"--dataset &#39;{folder}&#39;" in page
    capsys.readouterr()

    (tmp_path / "elsewhere").mkdir()
    folder.rename(tmp_path / "elsewhere" / "my digits")
    assert run(*VERIFY) == 3
    assert "is not there: put it back, or give --data-dir with the folder that holds" in capsys.readouterr().err
    assert run(*VERIFY, "--data-dir", "elsewhere") == 0


def test_a_changed_folder_is_other_data(folder: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--dataset", folder, "--epochs", "1", "-q") == 0
    write_png(folder / "train" / "0" / "0000.png", np.full((28, 28), 9, np.uint8))
    assert run("train", "--dataset", folder, "--epochs", "2", "--resume", "-q") == 2
    assert "was trained on other data than this …/my digits: put its images back" in capsys.readouterr().err
    assert run("report", "--html") == 0
    assert "this is not the …/my digits that was trained on" in Path("exports/my-digits-relu/report.html").read_text()


def test_a_split_that_nobody_asked_for_is_said(
    digits: data.Dataset, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folders(tmp_path / "own", some(digits.train, 6), digits.classes)
    assert run("train", "--dataset", "own/", "--epochs", "1") == 0
    assert "…/own has no test set: 10 of its 60 images" in capsys.readouterr().err
    assert run("study", "--dataset", "./own", "--seeds", "1", "--epochs", "1", "--activation", "relu") == 0
    assert "…/own has no test set: 10 of its 60 images" in capsys.readouterr().err
    assert Path("exports/study-own/study.json").exists()


@pytest.mark.parametrize("command", ["train", "study"])
@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ("./nowhere", "folder './nowhere' does not exist"),
        ("nowhere", "no dataset 'nowhere': choose from digits, fashion, kmnist, mnist, or give the path of a folder"),
        ("empty", "empty holds no dataset: it needs four IDX files"),
        ("eleven", "…/eleven has 11 classes, and the network has 10 outputs"),
        ("a\x1bb", "cannot be written into a record: rename it"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    command: str, dataset: str, words: str, digits: data.Dataset, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    Path("a\x1bb").mkdir()
    write_folders(Path("eleven"), some(digits.train, 6), tuple("abcdefghij"))
    shutil.copytree("eleven/a", "eleven/k")
    assert run(command, "--dataset", dataset, "--quiet") == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert not Path("exports").exists()


def test_a_name_of_ours_is_not_a_folder(run: Run) -> None:
    Path("digits").mkdir()
    assert run("train", "--dataset", "digits", "--epochs", "1", "-q") == 0
    assert record("digits-relu").dataset.train_images == 1437


def test_outputs_without_a_class_have_a_name(digits: data.Dataset, run: Run, tmp_path: Path) -> None:
    """With three classes, a network that has learned nothing yet predicts one of the seven others."""
    folder = png_folder(tmp_path / "three", digits, classes=3)
    assert run("train", "--dataset", folder, "--epochs", "1", "--lr", "1e-30", "-q") == 0
    saved = record("three-relu")
    assert saved.final
    assert max(saved.final.predictions.predictions) > 2
    assert names(saved)[:4] == ("0", "1", "2", "output 3")
    assert run("export", "--format", "onnx", "-q") == 0
    assert run(*VERIFY) == 0
    compared = store.load(Path("exports/three-relu"), ParityRecord)
    assert compared
    assert compared.classes == ("0", "1", "2", *(f"output {place}" for place in range(3, 10)))
    assert run("report", "--html") == run("report", "--figures") == 0
    page = Path("exports/three-relu/report.html").read_text(encoding="utf-8")
    assert f"→ {names(saved)[max(saved.final.predictions.predictions)]}" in page
    assert (Path("exports/three-relu/figures") / "confusion.png").exists()


def test_images_of_some_classes_are_asked_about_by_their_names(
    digits: data.Dataset, light: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Threes and sevens alone, for a network of ten digits: they are labelled 3 and 7."""
    wanted = digits.train.take(np.flatnonzero(np.isin(digits.train.labels, (3, 7))))
    write_folders(tmp_path / "own", wanted, digits.classes)
    shutil.copytree(light, tmp_path / "exports" / light.name)
    assert run(*VERIFY, "--dataset", "./own", "--json", "found.json") == 0
    found = json.loads(Path("found.json").read_text())
    assert found["dataset"] == str(tmp_path / "own")
    assert set(found["labels"]) == {3, 7}
    assert sum(map(int.__eq__, found["labels"], found["reference_predictions"])) > 0.9 * len(found["labels"])
