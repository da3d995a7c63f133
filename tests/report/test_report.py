import csv
import io
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

import mnist_bench.report as report
from mnist_bench import data
from mnist_bench.core.errors import BadInput, DataUnavailable
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import EpochMetrics, FinalMeasurement, Predictions, Record, Tally
from mnist_bench.report._errors import misclassified
from mnist_bench.report._table import Cell, Column, Quantity, Table, Unit
from mnist_bench.report.views.training import overfitting
from tests.conftest import Run

GOLDEN = Path(__file__).parent / "golden"


def tally(accuracy: float, loss: float, images: int = 1000) -> Tally:
    return Tally(loss_sum=loss * images, correct=round(accuracy * images), images=images)


def epoch(number: int, train: Tally, validation: Tally) -> EpochMetrics:
    return EpochMetrics(epoch=number, train=train, validation=validation, train_s=0.5, evaluation_s=0.125)


@pytest.fixture
def known(trained: tuple[Path, Record]) -> Record:
    """A record whose every number can be worked out by hand: three epochs, six test images, three mistakes."""
    epochs = (
        epoch(1, tally(0.80, 0.9), tally(0.90, 0.40)),
        epoch(2, tally(0.95, 0.2), tally(0.97, 0.20)),
        epoch(3, tally(0.99, 0.1), tally(0.96, 0.25)),
    )
    final = FinalMeasurement(
        train=tally(0.999, 0.01),
        test=Tally(loss_sum=3.0, correct=3, images=6),
        predictions=Predictions(
            labels=(4, 4, 9, 1, 0, 7), predictions=(9, 9, 4, 1, 0, 7), margins=(-0.5, -2.0, -1.0, 3.0, 4.0, 5.0)
        ),
        measurement_s=0.1,
    )
    machine = replace(
        trained[1].environment, cpu_model="Abacus 3000", cores=2, python="3.11.0", libraries={"torch": "2.14.0"}
    )
    return replace(
        trained[1],
        name="known",
        environment=machine,
        dataset=replace(trained[1].dataset, train_images=1000, validation_images=1000, test_images=6),
        epochs=epochs,
        final=final,
        config=replace(trained[1].config, epochs=3, engine="eager"),
    )


def table(records: Sequence[Record], view: str, **options: Any) -> dict[str, Any]:
    """Return a view's first table as a reader of its JSON gets it."""
    made = list(report.tables(records, report.ViewOptions(**options), [view]))
    found: dict[str, Any] = json.loads(report.render("json", made))[0]
    return found


def facts(records: Sequence[Record], view: str, **options: Any) -> dict[str, list[Any]]:
    rows = table(records, view, **options)["rows"]
    return {row[0]: [cell["value"] if isinstance(cell, dict) else cell for cell in row[1:]] for row in rows}


def test_overfitting_tells_both_gaps_and_the_rise_of_the_loss(known: Record) -> None:
    found = facts([known], "overfitting")
    assert found["Gap as in a notebook (running - validation)"] == [pytest.approx(0.03)]
    assert found["True gap (re-measured - validation)"] == [pytest.approx(0.039)]
    assert found["Best epoch"] == [2]
    assert found["Best validation accuracy"] == [0.97]
    assert found["Epoch of lowest validation loss"] == [2]
    assert found["Validation loss, risen since by"] == [pytest.approx(0.05)]


def with_end(record: Record, train: Tally, validation: Tally) -> Record:
    assert record.final
    epochs = (*record.epochs[:-1], epoch(3, record.epochs[-1].train, validation))
    return replace(record, epochs=epochs, final=replace(record.final, train=train))


@pytest.mark.parametrize(
    ("train", "validation", "words"),
    [
        (tally(0.999, 0.01), tally(0.96, 0.25), "known overfits: the true gap of 3.90 points is beyond"),
        (tally(0.999, 0.01), tally(0.96, 0.20), "known shows one of two signs of overfitting"),
        (tally(0.962, 0.01), tally(0.96, 0.25), "known shows one of two signs of overfitting"),
        (tally(0.962, 0.01), tally(0.96, 0.20), "known shows no sign of overfitting"),
        (tally(0.950, 0.01), tally(0.96, 0.20), "known shows no sign of overfitting"),
    ],
)
def test_the_verdict_follows_its_rule(train: Tally, validation: Tally, words: str, known: Record) -> None:
    assert overfitting.verdict(with_end(known, train, validation)).startswith(words)


def test_no_verdict_before_the_end(known: Record) -> None:
    assert overfitting.verdict(replace(known, final=None)) == "known: no verdict before training is finished."


def test_convergence_of_two_runs_stands_side_by_side(known: Record) -> None:
    slow = replace(known, name="slow", epochs=known.epochs[:1], final=None)
    found = facts([known, slow], "convergence")
    assert found["First epoch at 97%"] == [2, None, None]
    assert found["Accuracy after epoch 1"] == [0.9, 0.9, 0.0]
    assert found["Final accuracy"] == [0.96, 0.9, pytest.approx(-0.06)]
    assert facts([known], "convergence", convergence_at=0.9)["First epoch at 90%"] == [1]
    assert facts([known], "convergence")["Accuracy after epoch 5"] == [None]


def test_errors_are_counted_by_class_and_by_pair(known: Record) -> None:
    rows = {row[0]: row[1:4] for row in table([known], "classes")["rows"]}
    assert rows["4"] == [2, 2, 0.0]
    assert rows["9"] == [1, 1, 0.0]
    assert rows["1"] == [1, 0, 1.0]
    assert rows["5"] == [0, 0, None]
    assert table([known], "confusions")["rows"] == [["4 → 9", 2, 2 / 3, 1.0], ["9 → 4", 1, 1 / 3, 1.0]]
    assert table([known], "misclassified")["rows"] == [[1, "4", "9", 2.0], [2, "9", "4", 1.0], [0, "4", "9", 0.5]]


def test_the_most_confident_mistake_comes_first(known: Record) -> None:
    assert known.final
    assert misclassified(known.final.predictions) == [1, 2, 0]


def test_losses_are_means_over_images_not_over_batches(trained: tuple[Path, Record]) -> None:
    """The short last batch of 29 images counts as 29, not as a whole batch."""
    first = trained[1].epochs[0]
    assert table([trained[1]], "epochs")["rows"][0][1] == first.train.loss_sum / 1437


def test_an_unfinished_run_says_so_and_shows_what_it_has(known: Record) -> None:
    begun = replace(known, epochs=known.epochs[:1], final=None)
    made = list(report.tables([begun], report.ViewOptions()))
    assert [content.title for content in made] == ["Run", "Epochs of known", "Overfitting", "Convergence"]
    assert "mnist-bench train --run known --resume goes on" in " ".join(made[0].notes)
    assert list(report.tables([replace(known, epochs=(), checkpoint=None, final=None)], report.ViewOptions()))


@pytest.mark.parametrize("renderer", ["rich", "markdown", "html", "csv", "json"])
def test_the_tables_of_a_known_record_look_as_they_should(renderer: str, known: Record) -> None:
    text = report.render(renderer, list(report.tables([known], report.ViewOptions())))
    lines = [line.rstrip() for line in text.splitlines()]
    path = GOLDEN / f"{renderer}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert lines == path.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("color", [True, False])
def test_no_line_is_too_long_for_a_usual_terminal(color: bool, known: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blank in column 81 would show as an empty line below."""
    monkeypatch.setenv("COLUMNS", "80")
    text = report.render("rich", list(report.tables([known], report.ViewOptions())), color)
    assert ("\x1b[" in text) == color
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in text.splitlines()]
    assert max(map(len, plain)) == 80
    assert all(line == line.rstrip() for line in plain)


HOSTILE = "=cmd|' /C calc'!A1 <script>[x](y) | `z` [bold]"


@pytest.mark.parametrize("renderer", ["rich", "markdown", "html", "csv", "json"])
def test_hostile_text_stays_text(renderer: str) -> None:
    rows: list[list[Cell]] = [[HOSTILE, Quantity(None, Unit.SHARE)]]
    text = report.render(renderer, [Table(HOSTILE, [Column("a"), Column("b", Unit.SHARE)], rows)])
    if renderer == "csv":
        assert list(csv.reader(io.StringIO(text)))[1] == ["'" + HOSTILE, "", "share"]
    elif renderer == "json":
        assert json.loads(text)[0]["rows"][0][0] == HOSTILE
    elif renderer == "markdown":
        assert "<script" not in text.replace("\\<", "")
        assert text.count("| ") == text.count("\\| ") + 2 * 3
    else:
        assert "[bold]" in text
        assert "\x1b" not in text


def test_no_word_of_a_wide_table_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be part of a command that somebody copies; and a long name leaves the other columns room."""
    monkeypatch.setenv("COLUMNS", "80")
    why, remedy = "the run holds no scikit-learn file", "mnist-bench export --run stored_in_half --format scikit-learn"
    for name in ("scikit-learn", "certificate of the layer LayerNormalization 'encoder/norm' in float16"):
        text = report.render("rich", [Table("Skipped", [Column(one) for one in "abc"], [[name, why, remedy]])])
        lines = text.splitlines()
        assert "…" not in text
        assert max(map(len, lines)) <= 80
        letters = "".join(sorted("".join(lines).replace(" ", "").replace("─", "")))
        assert letters == "".join(sorted(f"Skippedabc{name}{why}{remedy}".replace(" ", "")))


def test_one_csv_table_is_plain_csv_with_raw_values(known: Record) -> None:
    text = report.render("csv", list(report.tables([known], report.ViewOptions(), ["misclassified"])))
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["Test image", "True", "Predicted", "Margin [logit]"]
    assert rows[1] == ["1", "4", "9", "2.0"]


def test_unlike_runs_are_compared_with_a_warning(known: Record) -> None:
    other = replace(known, name="other", config=replace(known.config, batch_size=1, seed=7))
    assert "These runs also differ in: batch size, seed." in table([known, other], "convergence")["notes"]


def test_a_view_with_nothing_to_show_says_so(known: Record) -> None:
    begun = replace(known, epochs=(), checkpoint=None, final=None)
    for view in ("overfitting", "classes", "confusions", "misclassified"):
        assert table([begun], view)["notes"] == ["There is nothing to show, or not yet."]


def test_names_are_no_markup(known: Record) -> None:
    text = report.render("rich", list(report.tables([replace(known, name="x[/red]")], report.ViewOptions())))
    assert "x[/red]" in text


def test_an_unknown_view_is_refused(known: Record) -> None:
    with pytest.raises(BadInput, match="no 'gossip' among the training"):
        list(report.tables([known], report.ViewOptions(), ["gossip"]))


# Figures


def test_figures_are_written_as_png_and_svg_that_say_what_they_show(
    trained: tuple[Path, Record], digits: data.Dataset, tmp_path: Path
) -> None:
    _, record = trained
    sigmoid = replace(record, name="other", config=replace(record.config, activation="sigmoid"))
    for name in (record.name, "other"):
        (tmp_path / name).mkdir()
    drawn = list(report.draw_figures(report.Material([record, sigmoid], dataset=digits), tmp_path))
    lacking = {thing.target for thing in drawn if isinstance(thing, Skipped)}
    assert lacking == {
        "latency",
        "latency against accuracy",
        "layers",
        "share of the limit",
        "training speed",
    }  # nothing was benchmarked
    paths = [thing for thing in drawn if isinstance(thing, Path)]
    panels = ("learning-curves", "activations")
    stems = {f"{name}-{panel}" for name in panels for panel in ("accuracy", "loss")}
    stems |= {"samples", "confusion", "misclassified"}
    assert {path.stem for path in paths if path.parts[-3] == record.name} == stems
    words = {"activations-loss": "sigmoid (other)", "confusion": "predicted", "learning-curves-accuracy": "Epoch"}
    for path in paths:
        if path.suffix == ".png":
            assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        else:
            text = "".join(ElementTree.fromstring(path.read_text(encoding="utf-8")).itertext())
            assert words.get(path.stem, "") in text
    text = (tmp_path / record.name / "figures" / "misclassified.svg").read_text(encoding="utf-8")
    assert record.final
    worst = misclassified(record.final.predictions)[0]
    label, prediction = record.final.predictions.labels[worst], record.final.predictions.predictions[worst]
    assert f"true {label}, predicted {prediction}" in text


def test_the_same_record_draws_the_same_bytes(
    trained: tuple[Path, Record], digits: data.Dataset, tmp_path: Path
) -> None:
    for attempt in ("a", "b"):
        (tmp_path / attempt / trained[1].name).mkdir(parents=True)
        list(report.draw_figures(report.Material([trained[1]], dataset=digits), tmp_path / attempt))
    for path in (tmp_path / "a").rglob("*.svg"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_figures_that_need_absent_data_are_skipped_with_the_reason(
    trained: tuple[Path, Record], tmp_path: Path
) -> None:
    def absent() -> data.Dataset:
        raise DataUnavailable("no network today")

    (tmp_path / trained[1].name).mkdir()
    material = report.Material([trained[1]], dataset=report.matching_images([trained[1]], absent))
    drawn = list(report.draw_figures(material, tmp_path))
    skipped = {thing.target: thing.reason for thing in drawn if isinstance(thing, Skipped)}
    assert skipped["samples"] == "no network today"
    assert "it compares runs" in skipped["activations"]
    assert any(isinstance(thing, Path) for thing in drawn)


# The command


def test_report_shows_the_same_again(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--dataset", "digits", "--epochs", 1) == 0
    trained = capsys.readouterr().out.partition("Saved in")[0]
    assert run("report") == 0
    assert capsys.readouterr().out == trained
    assert run("report", "--run", "digits-relu", "--figures") == 0
    assert "exports/digits-relu/figures/confusion.png" in capsys.readouterr().out
    assert run("report", "--table", "misclassified", "--format", "csv") == 0
    assert capsys.readouterr().out.startswith("Test image,True,Predicted,Margin [logit]\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "there is no run in exports"),
        (["--run", "ghost"], "no run 'ghost' in exports (runs there: none)"),
        (["--run", "../etc"], "not a plain name"),
    ],
)
def test_a_report_of_nothing_is_an_error(
    arguments: list[str], words: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("report", *arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
