"""Test cases as JUnit XML, the form that Jenkins, GitLab and GitHub's report actions read."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

from mnist_bench.analysis.cases import Case
from mnist_bench.core import text
from mnist_bench.core.kinds import PROGRAM

ELEMENTS = {"failed": "failure", "error": "error", "skipped": "skipped"}
NO_CHARACTERS = re.compile("[\ufffe\uffff]")
"""What XML 1.0 forbids beside control characters and surrogates (section 2.2)."""


def junit(command: str, cases: Sequence[Case], started_at: str = "", facts: Mapping[str, str] | None = None) -> str:
    """Write cases as one test suite, well-formed XML 1.0 whatever a target is called.

    Args:
        command: what was run, `verify` or `bench --gate`; the suite's name.
        cases: what came of it, in order. No time is written: what is timed is in the benchmark's record.
        started_at: when, in ISO 8601; left out where it is empty.
        facts: the suite's properties, by name.
    """
    counts = Counter(case.outcome for case in cases)
    numbers = {
        "tests": str(len(cases)),
        "failures": str(counts["failed"]),
        "errors": str(counts["error"]),
        "skipped": str(counts["skipped"]),
    }
    name = _safe(f"{PROGRAM} {command}")
    whole = {key: value for key, value in numbers.items() if key != "skipped"}  # the schema has it of suites alone
    root = ET.Element("testsuites", {"name": name, **whole})
    suite = ET.SubElement(root, "testsuite", {"name": name, **numbers})
    if started_at:
        suite.set("timestamp", _safe(started_at))
    if facts:
        properties = ET.SubElement(suite, "properties")
        for key, value in facts.items():
            ET.SubElement(properties, "property", name=_safe(key), value=_safe(value))
    for case in cases:
        _add(suite, command, case)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add(suite: ET.Element, command: str, case: Case) -> None:
    """Add a case; its class is its target, so that viewers group by it."""
    one = ET.SubElement(suite, "testcase", classname=_safe(f"{command}.{case.target}"), name=_safe(case.name))
    if case.outcome == "passed":
        ET.SubElement(one, "system-out").text = _safe(case.words)
        return
    element = ET.SubElement(one, ELEMENTS[case.outcome], message=_safe(case.words))
    if case.outcome != "skipped":
        element.set("type", case.outcome)
        element.text = _safe(case.words)


def _safe(words: str) -> str:
    return NO_CHARACTERS.sub(text.SHOWN_AS, text.line(words))
