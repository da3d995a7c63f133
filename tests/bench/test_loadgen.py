"""What LoadGen's summaries say, and what a system under test does with queries."""

from pathlib import Path

import pytest

import mnist_bench.report as report
from mnist_bench.analysis.load import Loaded, parse_summary
from tests.bench import made

SUMMARY = """================================================
MLPerf Results Summary
================================================
Scenario : Server
Completed samples per second    : 1950.08
Result is : VALID
  Performance constraints satisfied : Yes
  Early stopping satisfied: Yes
Early Stopping Result:
 * Run successful.
50.00 percentile latency (ns)   : 161266
99.00 percentile latency (ns)   : 277698

No warnings encountered during test.
"""


def test_a_summary_is_read_by_its_lines() -> None:
    found = parse_summary(SUMMARY)
    assert found["Result is"] == "VALID"
    assert found["Completed samples per second"] == "1950.08"
    assert found["Early stopping satisfied"] == "Yes"
    assert "Early Stopping Result" not in found


@pytest.mark.parametrize(("said", "valid"), [("VALID", True), ("INVALID", False), ("", False)])
def test_only_what_loadgen_calls_valid_is_valid(said: str, valid: bool) -> None:
    found = Loaded(made.configuration(), "server", parse_summary(SUMMARY.replace("VALID", said)), Path("x"))
    assert found.valid is valid


def test_its_figures_are_shown_as_they_are() -> None:
    found = Loaded(made.configuration(), "server", parse_summary(SUMMARY), Path("somewhere/summary.txt"))
    (line,) = report.load_table("server", [found]).rows
    assert line[2:4] == ["VALID", 1950.08]
    assert line[4:] == [pytest.approx(161266e-9), None, pytest.approx(277698e-9)]
    notes = report.load_table("server", [found], ["other: it died"]).notes
    assert notes[0] == "other: it died"
    assert "somewhere/summary.txt" in notes[1]
