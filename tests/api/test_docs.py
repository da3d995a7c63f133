"""The examples of docs/python.md run as they stand, and its tables name what there is."""

import re
from pathlib import Path
from typing import Any

import pytest

import mnist_bench as mb
from mnist_bench.core.types import Record
from tests.api.test_interface import in_process, planned

__all__ = ["planned"]

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)
ROW = re.compile(r"^\| `?(\w*)`? \| (`[^|]+`) \|", re.MULTILINE)


def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planned: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    in_process(monkeypatch)
    names: dict[str, Any] = {}
    examples = EXAMPLE.findall(text())
    assert len(examples) == 3
    for example in examples:
        exec(compile(example, str(PAGE), "exec"), names)
    assert names["again"].record == names["relu"].record
    assert names["parity"].passed
    assert (tmp_path / "exports" / "digits-relu" / "report.html").exists()
    told = capsys.readouterr().out
    assert "0 µs" not in told.split()[0]
    assert "digits-relu" in told.splitlines()[1], "the error names the run"


def test_every_attribute_that_is_described_is_there(trained: tuple[Path, Record]) -> None:
    described, name = set(), ""
    for of, attributes in ROW.findall(text().partition("## Results")[2].partition("## Errors")[0]):
        name = of or name
        for attribute in re.findall(r"`([\w.]+)`", attributes):
            assert hasattr(getattr(mb, name), attribute.partition(".")[0]), f"{name}.{attribute}"
            described.add(name)
    assert described == {"Data", "Run", "Exports", "Parity", "Benchmark", "Report"}
    epoch = mb.open_run(trained[0]).epochs[0]
    assert epoch.train.accuracy <= 1
    assert min(epoch.validation.loss, epoch.train_s, epoch.evaluation_s) > 0


def test_every_public_function_is_described() -> None:
    listed = set(re.findall(r"^\| `(\w+)\(", text(), re.MULTILINE))
    assert listed == set(mb._FUNCTIONS)
