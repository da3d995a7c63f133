"""What a person, and a program, gets to see of a prediction."""

import re
from collections.abc import Sequence

import numpy as np
import pytest

import mnist_bench.report as report
from mnist_bench.analysis.prediction import REFERENCE, Answer, Likeness, Prediction
from mnist_bench.core.kinds import Skipped

DIGITS = tuple("0123456789")
FASHION = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot")
NEAR = Likeness(31_415, "4", 5.5, 9.25)


def shares(**best: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    found = np.full(10, (1 - sum(best.values())) / (10 - len(best)))
    for name, share in best.items():
        found[int(name[1:])] = share
    return found


def prediction(
    *answers: Answer, likeness: Likeness | Skipped = NEAR, name: str = "four.png", classes: Sequence[str] = DIGITS
) -> Prediction:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 13:15] = 255
    return Prediction(name, pixels, ("28 × 28 PNG", "taken as it is"), classes, answers, likeness)


def shown(one: Prediction) -> str:
    return report.prediction_text(one, color=False)


SURE = Answer(REFERENCE, shares(_4=0.99995))


def test_the_picture_its_bars_and_all_that_is_said() -> None:
    text = shown(prediction(SURE, Answer("onnxruntime int8-dynamic", shares(_4=0.8, _9=0.19))))
    lines = text.splitlines()
    assert lines[:2] == ["four.png: the network says 4", " 28 × 28 PNG; taken as it is."]
    assert [line[14:16] for line in lines[3:17]] == [""] * 2 + ["@@"] * 10 + [""] * 2
    bars = [line.split() for line in lines if re.search(r"  \d  [# ]{28} +[<>]? ?\d+\.\d\d%", line)]
    assert [bar[-1] for bar in bars] == ["0.01%"] * 4 + ["99.99%"] + ["0.01%"] * 5
    assert ("#" * 28 in bars[4], "#" in "".join(bars[3])) == (True, False)
    assert re.search(r"^ reference \(float64\) +4 +> 99.99% +0 +< 0.01% +1 +< 0.01%", text, re.MULTILINE)
    assert re.search(r"^ onnxruntime int8-dynamic +4 +80.00% +9 +19.00% +0 +0.1[23]%", text, re.MULTILINE)
    assert "! " not in text
    assert (
        "The nearest training image: number 31,415 of class 4, 5.50 away; of the test images 99.9% are within 9.25."
        in " ".join(text.split())
    )


@pytest.mark.parametrize("classes", [DIGITS, FASHION])
def test_it_fits_into_80_columns(classes: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    unlike = Likeness(31_415, classes[6], 12.5, 9.25)
    said = [SURE, Answer("onnxruntime int8-dynamic", shares(_9=0.5, _8=0.4)), Answer("torch-eager", None, "it died")]
    text = shown(prediction(*said, likeness=unlike, classes=classes))
    drawn, _, table = text.partition("What each runtime says")
    assert max(map(len, drawn.splitlines())) <= 80
    assert max(map(len, table.splitlines())) <= (80 if classes is DIGITS else 84)


def test_what_must_not_be_missed() -> None:
    torn = Answer(REFERENCE, shares(_4=0.51, _9=0.47))
    said = [torn, Answer("onnxruntime", shares(_4=0.51, _9=0.47)), Answer("onnxruntime int8", shares(_9=0.9))]
    said += [Answer("litert", None, "it hung")]
    text = " ".join(shown(prediction(*said, likeness=Likeness(1, "9", 12.5, 9.25))).split())
    for line in (
        "! The network is torn between 4 and 9: 51.0%, 47.0%.",
        "! It is unlike any training image: the nearest, number 1 of class 9, is 12.50 away, and 99.9% of the test "
        "images are within 9.25. The answer means little.",
        "! onnxruntime int8 says 9, where the reference says 4.",
        "! litert says nothing: it hung",
    ):
        assert line in text
    assert text.count("! ") == 4
    assert "The nearest training image" not in text  # it has been said


def test_a_distance_that_is_not_known_is_no_distance() -> None:
    away = Skipped("images", "mnist is not on this machine", "give --data-dir DIR")
    one = prediction(SURE, likeness=away)
    assert "is not known: mnist is not on this machine; give --data-dir DIR" in " ".join(shown(one).split())
    assert report.predictions_table([one], DIGITS).rows[0][-3:] == [None, None, None]


def test_greys_on_a_terminal_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TERM": "xterm-256color", "COLORTERM": "truecolor"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = report.prediction_text(prediction(SURE), color=True)
    assert "38;2;255;255;255" in text
    assert text.count("▀") == 14 * 28
    assert "█" * 28 in text
    for name, value in {"NO_COLOR": "1", "TERM": "dumb"}.items():
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert "▀" not in report.prediction_text(prediction(SURE), color=True)


def test_words_of_others_steer_no_terminal() -> None:
    hostile = "\x1b[31m\u202ered\n.png"
    said = [SURE, Answer(f"{hostile}1", shares(_9=0.9)), Answer(f"{hostile}2", None, hostile)]
    one = prediction(*said, name=hostile, classes=[f"{name}\x1b[2J" for name in DIGITS])
    assert not re.search("[\x1b\u202e]", shown(one))
    assert not re.search("[\x1b\u202e]", report.render("csv", [report.predictions_table([one], one.classes)]))


def test_rows_for_programs() -> None:
    torn = Answer("onnxruntime", shares(_4=0.5, _9=0.4, _0=0.1))
    one = prediction(SURE, torn, Answer("litert", None, "it hung"))
    table = report.predictions_table([("bad.png", "bad.png is damaged"), one], DIGITS)
    names = [column.name for column in table.columns]
    assert names == ["file", "runtime", "prediction", *(f"p{digit}" for digit in DIGITS), "distance", "torn", "error"]
    bad, sure, second, silent = (dict(zip(names, row, strict=True)) for row in table.rows)
    assert {name: value for name, value in bad.items() if value is not None} == {
        "file": "bad.png",
        "error": "bad.png is damaged",
    }
    assert (sure["file"], sure["runtime"], sure["prediction"], sure["p4"]) == ("four.png", REFERENCE, "4", 0.99995)
    assert (sure["distance"], sure["torn"], sure["error"]) == (5.5, None, None)
    assert (second["p4"], second["torn"]) == (0.5, "4/9/0")
    assert (silent["prediction"], silent["p4"], silent["error"]) == (None, None, "it hung")
