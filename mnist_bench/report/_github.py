"""Test cases for GitHub: workflow commands, which become annotations of a pull request, and a job's summary."""

from collections.abc import Iterator, Sequence

from mnist_bench.analysis.cases import Case, worst
from mnist_bench.core import text
from mnist_bench.core.kinds import PROGRAM
from mnist_bench.report._material import Material
from mnist_bench.report._summary import summary
from mnist_bench.report._table import Table, ViewOptions
from mnist_bench.report.renderers import markdown

HEADINGS = {"passed": "passed", "failed": "FAILED", "error": "incomplete", "skipped": "nothing was checked"}

LEVELS = {"failed": "error", "error": "warning"}
MOST_LINES = 10
"""Configurations that an annotation names: GitHub shows ten annotations of a kind for a step, and short ones."""


def annotations(command: str, cases: Sequence[Case], file: str = "") -> Iterator[str]:
    """Yield a line for each target that failed, an error, and for each of which nothing is known, a warning.

    Args:
        command: what was run, for the title.
        cases: what came of it.
        file: what to attach them to, relative to the repository; nothing where it is empty.
    """
    for outcome, level in LEVELS.items():
        found = [case for case in cases if case.outcome == outcome]
        for target in dict.fromkeys(case.target for case in found):
            own = [case for case in found if case.target == target]
            yield annotation(level, f"{PROGRAM} {command}: {target}", _message(own), file)


def annotation(level: str, title: str, message: str, file: str = "") -> str:
    """Write one workflow command; lines of the message stay lines."""
    lines = "\n".join(map(text.line, message.splitlines()))
    properties = ([f"file={_property(file)}"] if file else []) + [f"title={_property(title)}"]
    return f"::{level} {','.join(properties)}::{_data(lines)}"


def _message(cases: Sequence[Case]) -> str:
    shown = [f"{case.configuration}: {case.words}" if case.configuration else case.words for case in cases]
    more = len(shown) - MOST_LINES
    return "\n".join([*shown[:MOST_LINES], *([f"and {more} more"] if more > 0 else [])])


def _data(words: str) -> str:
    """Escape as the runner unescapes (actions/toolkit, command.ts): the percent sign first."""
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(words: str) -> str:
    return _data(text.line(words)).replace(":", "%3A").replace(",", "%2C")


def job_summary(command: str, cases: Sequence[Case], tables: Iterator[Table]) -> str:
    """Write a verdict in Markdown, with what failed, or could not be found out, and the tables folded."""
    told = [case for case in cases if case.outcome in LEVELS]
    lines = [f"- {markdown.escaped(text.line(f'{case.name}: {case.words}'))}\n" for case in told[:MOST_LINES]]
    more = [f"- and {len(told) - MOST_LINES} more\n"] if len(told) > MOST_LINES else []
    heading = f"## {PROGRAM} {command}: {HEADINGS[worst(cases)]}\n"
    return "\n".join([heading, "".join(lines + more), summary(Material([]), ViewOptions(), tables), ""])
