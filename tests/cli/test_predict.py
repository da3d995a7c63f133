"""`predict` on a run of the digits: pictures in, answers out."""

import csv
import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_bench import data, parity, runtimes, store
from mnist_bench.core.errors import DataUnavailable
from tests.conftest import Plugins, Run
from tests.data.pictures import drawing, encoded, of_pixels
from tests.parity.test_verify import LOGITS, add_runtime
from tests.test_imports import ENGINES, imported

ORT = ("predict", "--runtime", "onnxruntime")


@pytest.fixture(autouse=True)
def here(light: Path, run: Run) -> Path:
    """The folder of a run below the working directory, where the command line finds it."""
    return Path(shutil.copytree(light, Path("exports") / light.name))


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def of_reference(folder: Path, digits: data.Dataset, index: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return the reference's probabilities for a test image."""
    logits = parity.reference_answers(folder, store.load_record(folder)).logits[index]
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


def test_one_of_the_digits_is_answered_as_verify_has_it(
    here: Path, run: Run, digits: data.Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("one.png").write_bytes(of_pixels(digits.test.pixels[3]))
    assert run(*ORT, "one.png", "--as-is", "--csv", "one.csv") == 0
    out = capsys.readouterr().out
    found = rows(Path("one.csv").read_text())
    assert [row["runtime"] for row in found] == ["reference (float64)", *(f"onnxruntime{kind}" for kind in KINDS)]
    expected = of_reference(here, digits, 3)
    shares = np.array([[float(row[f"p{digit}"]) for digit in range(10)] for row in found])
    np.testing.assert_allclose(shares[0], expected, rtol=1e-12)
    np.testing.assert_allclose(shares[1], expected, rtol=1e-4)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-12)
    assert {row["prediction"] for row in found} == {str(expected.argmax())}
    assert float(found[0]["distance"]) == data.nearest(digits.test.pixels[3:4], digits.train).distances[0]
    assert out.startswith(f"one.png: the network says {expected.argmax()}\n 28 × 28 PNG; taken as it is.\n")
    assert "\nWhat each runtime says" in out
    assert "The nearest training image: number " in out
    assert max(map(len, out.splitlines())) <= 100


KINDS = ("", " fp16", " int8", " int8-dynamic")


def test_the_answer_to_a_picture_is_the_same_whatever_comes_with_it(
    run: Run, digits: data.Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    """What quantises by range would answer an image as its batch has it."""
    Path("a.png").write_bytes(of_pixels(digits.test.pixels[3]))
    Path("b.png").write_bytes(of_pixels(digits.test.pixels[4] // 3))
    assert run(*ORT, "a.png", "--as-is", "--csv", "-") == 0
    alone = rows(capsys.readouterr().out)
    assert run(*ORT, "b.png", "a.png", "--as-is", "--csv", "-") == 0
    beside = rows(capsys.readouterr().out)[len(alone) :]
    assert [row["runtime"] for row in beside] == [row["runtime"] for row in alone]
    for digit in range(10):
        now, before = ([float(row[f"p{digit}"]) for row in found] for found in (beside, alone))
        np.testing.assert_allclose(now, before, rtol=1e-9)


def test_what_cannot_be_read_does_not_stop_the_others(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("good.png").write_bytes(encoded(drawing()))
    Path("bad.jpg").write_bytes(b"no picture")
    assert run(*ORT, "-q", "bad.jpg", "good.png", "gone.png", "--csv", "-") == 2
    out, err = capsys.readouterr()
    found = rows(out)
    assert [row["file"] for row in found] == ["bad.jpg", *["good.png"] * 5, "gone.png"]
    assert [bool(row["error"]) for row in found] == [True, *[False] * 5, True]
    assert found[-1]["error"] == "gone.png cannot be read: No such file or directory"
    bad = "bad.jpg is not a PNG, JPEG or WebP picture: save it as one of these"
    assert err.splitlines() == [
        bad,
        "gone.png cannot be read: No such file or directory",
        f"mnist-bench: 2 of 3 pictures could not be read; the first: {bad}",
    ]


def test_a_single_one_that_cannot_be_read_is_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("blank.png").write_bytes(encoded(Image.new("L", (9, 9), "white")))
    assert run(*ORT, "blank.png") == 2
    said = "mnist-bench: blank.png has only one colour, or nearly so: there is nothing drawn on it\n"
    assert capsys.readouterr() == ("", said)


def test_a_folder_stands_for_its_pictures_by_name(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("pictures")
    (folder / "below").mkdir(parents=True)
    for name, kind in {"b.PNG": "PNG", "a.jpeg": "JPEG", "c.webp": "WEBP", ".hidden.png": "PNG"}.items():
        (folder / name).write_bytes(encoded(drawing(), kind))
    (folder / "notes.txt").write_text("no picture")
    assert run(*ORT, "-qq", folder, "--csv", "all.csv") == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", "pictures: 3 others in there passed over\n")
    files = [row["file"] for row in rows(Path("all.csv").read_text())]
    assert list(dict.fromkeys(files)) == ["pictures/a.jpeg", "pictures/b.PNG", "pictures/c.webp"]
    assert run(*ORT, "-q", folder / "below") == 2
    assert "pictures/below holds no picture whose name ends in .png, .jpg, " in capsys.readouterr().err


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    return lambda content: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_a_picture_from_stdin(run: Run, piped: Callable[[bytes], None], capsys: pytest.CaptureFixture[str]) -> None:
    piped(encoded(drawing(), "WEBP"))
    assert run(*ORT, "-") == 0
    out = capsys.readouterr().out
    assert out.startswith("stdin: the network says ")
    assert out.splitlines()[1].startswith(" 200 × 200 WebP; inverted, since its ground is light; fitted into 20 × 20,")
    assert run(*ORT, "-", "-") == 2
    assert "stdin can be read only once" in capsys.readouterr().err
    piped(b"")
    assert run(*ORT, "-") == 2
    assert capsys.readouterr().err.startswith("mnist-bench: stdin is not a PNG, JPEG or WebP")


def test_a_ground_that_is_named(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("l.png").write_bytes(encoded(drawing()))
    assert run(*ORT, "l.png", "--ground", "light") == 0
    assert "inverted" in capsys.readouterr().out
    assert run(*ORT, "l.png", "--ground", "dark") == 2  # nothing is lighter than white
    assert "nothing drawn on it" in capsys.readouterr().err


def test_a_picture_of_nothing_known_is_said_to_be_unlike(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("chess.png").write_bytes(of_pixels(np.kron(np.eye(2), np.full((14, 14), 255)).astype(np.uint8)))
    assert run(*ORT, "chess.png", "--as-is") == 0
    assert "! It is unlike any training image: the nearest, number " in capsys.readouterr().out


def test_without_the_training_images_the_distance_is_not_known(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(*_: object, download: bool) -> data.Dataset:
        assert not download
        raise DataUnavailable("digits are not on this machine")

    monkeypatch.setattr(data, "load", load)
    Path("l.png").write_bytes(encoded(drawing()))
    assert run(*ORT, "l.png", "--csv", "l.csv") == 0
    assert "is not known: digits are not on this machine" in capsys.readouterr().out
    assert {row["distance"] for row in rows(Path("l.csv").read_text())} == {""}


def test_names_of_others_steer_no_terminal_and_no_spreadsheet(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("\x1b[31mred.png", "=1+1.png"):
        Path(name).write_bytes(encoded(drawing()))
    Path("\x1b[2Jbad.png").write_bytes(b"no picture")
    assert run(*ORT, "\x1b[31mred.png", "=1+1.png", "\x1b[2Jbad.png", "--csv", "all.csv") == 2
    assert "\x1b" not in "".join(capsys.readouterr())
    text = Path("all.csv").read_text()
    assert "\x1b" not in text
    assert {row["file"] for row in rows(text)} == {"\ufffd[31mred.png", "'=1+1.png", "\ufffd[2Jbad.png"}


@pytest.mark.parametrize(
    ("parts", "code", "words"),
    [
        ({"answer": f"({LOGITS})[:, ::-1]"}, 0, "! numpy-added says "),
        ({"answer": "1 / 0"}, 3, "! numpy-added says nothing: ZeroDivisionError"),
        ({"answer": f"({LOGITS})[:, :9]"}, 3, "! numpy-added says nothing: its answers are not 1 × 10 finite numbers"),
        ({"answer": f"({LOGITS}) * np.float32('nan')"}, 3, "are not 1 × 10 finite numbers"),
    ],
    ids=["another class", "an error", "a shape", "not a number"],
)
def test_a_runtime_that_disagrees_or_fails_is_named(
    parts: dict[str, str], code: int, words: str, plugins: Plugins, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    add_runtime(plugins, **parts)
    Path("l.png").write_bytes(encoded(drawing()))
    assert run("predict", "l.png", "--runtime", "numpy-added") == code
    out, err = capsys.readouterr()
    assert words in " ".join(out.split())
    assert ("mnist-bench: 1 target(s) said nothing; the first: numpy-added: " in err) is (code == 3)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "FILE"),
        (("l.png", "--runtime", "abacus"), 2, "abacus"),
        (("l.png", "--run", "nobody"), 2, "nobody"),
        (("l.png", "--csv", "exports/digits-relu/run.json"), 2, "is a file of a run"),
        (("l.png", "--csv", "nowhere/l.csv"), 3, "/nowhere; make it first"),
        (("l.png", "--as-is"), 2, "l.png has 200 × 200 pixels: only 28 × 28 can be taken as they are"),
    ],
)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...], code: int, words: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("l.png").write_bytes(encoded(drawing()))
    assert run("predict", *arguments, "-q") == code
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_runtimes_that_lack_something_are_named(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("l.png").write_bytes(encoded(drawing()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtimes, "names", lambda: ("onnxruntime", "torchscript"))
        assert run("predict", "l.png") == 0
    assert "Not asked: torchscript; mnist-bench verify lists what each of them lacks." in capsys.readouterr().out


def test_what_asks_workers_opens_no_engine_and_no_picture_itself(run: Run) -> None:
    Path("l.png").write_bytes(encoded(drawing()))
    found = imported(*ORT, "l.png")
    assert "rich" in found
    assert not found & {*ENGINES, "PIL"}
