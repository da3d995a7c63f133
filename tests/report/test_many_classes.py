"""Networks of other numbers of classes than ten: what shows them follows, as far as it can be read."""

import dataclasses
from pathlib import Path

import pytest
from msgspec.structs import replace

import mnist_bench.report as report
from mnist_bench import data
from mnist_bench.analysis.classes import confusions, names
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import Record
from mnist_bench.report.figures import confusion, samples
from mnist_bench.report.figures._style import Picture
from mnist_bench.report.page._blocks import Block, Matrix
from mnist_bench.report.page.sections import errors


def of_classes(trained: tuple[Path, Record], number: int) -> Record:
    record = trained[1]
    return replace(record, dataset=replace(record.dataset, classes=tuple(f"class {one}" for one in range(number))))


def blocks(record: Record) -> list[Block]:
    return list(errors.build(report.Material([record]), report.ViewOptions()))


@pytest.mark.parametrize("number", [10, 26, 62])
def test_as_many_rows_as_classes(number: int, trained: tuple[Path, Record]) -> None:
    record = of_classes(trained, number)
    (matrix,) = (one for one in blocks(record) if isinstance(one, Matrix))
    assert list(matrix.classes) == list(names(record)) == list(record.dataset.classes)
    assert [len(row) for row in matrix.counts] == [number] * number
    assert confusions(record).shape == (number, number)
    (picture,) = confusion.build(report.Material([record]))
    assert isinstance(picture, Picture)
    assert len(picture.figure.axes[0].texts) == number**2
    assert picture.figure.get_figwidth() == pytest.approx(0.7 * number)


def test_more_than_can_be_read_are_shades_and_a_table(trained: tuple[Path, Record]) -> None:
    record = of_classes(trained, 1000)
    found = blocks(record)
    assert not any(isinstance(one, Matrix) for one in found)
    assert any(isinstance(one, Skipped) and "it has 1000 rows" in one.reason for one in found)
    (picture,) = confusion.build(report.Material([record]))
    assert isinstance(picture, Picture)
    assert not picture.figure.axes[0].texts
    assert picture.figure.get_figwidth() == pytest.approx(0.7 * 62)


def test_samples_are_of_the_classes_that_there_are(trained: tuple[Path, Record], digits: data.Dataset) -> None:
    images = digits.train.take((digits.train.labels % 2).nonzero()[0])
    dataset = dataclasses.replace(digits, train=images, name="/home/me/odd")
    (picture,) = samples.build(report.Material([trained[1]], dataset=dataset))
    assert isinstance(picture, Picture)
    shown = [text.get_text() for panel in picture.figure.axes for text in panel.texts]
    assert shown == list("13579")
    assert picture.says == "The first 10 training images of each class of …/odd."
