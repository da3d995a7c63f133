"""What docs/ci.md and docs/pytest.md show: it parses, and every command in it is one that the command line takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from mnist_bench.cli import _main
from mnist_bench.core import onnx_stamp
from mnist_bench.core.kinds import PROGRAM

DOCS = Path(__file__).parents[1] / "docs"
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]*mnist-bench [^`\n]*)`")
FILES = ("models/model.onnx", "models/weights.safetensors", "base.onnx", "FILE")


def blocks(language: str, document: str = "ci.md") -> list[str]:
    return [body for found, body in FENCED.findall((DOCS / document).read_text(encoding="utf-8")) if found == language]


def scripts(document: Any) -> Iterator[str]:
    """Yield the lines of the shell in a workflow of GitHub's, or a pipeline of GitLab's."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key in ("run", "script", "before_script"):
                yield from "\n".join([value] if isinstance(value, str) else value).splitlines()
            else:
                yield from scripts(value)
    elif isinstance(document, list):
        for part in document:
            yield from scripts(part)


def parse(line: str) -> str:
    """Parse a command line of ours as the program would, without carrying it out; return the name of the command."""
    words = shlex.split(line)
    name, *arguments = words[words.index(PROGRAM) + 1 :]
    command = _main.group.get_command(click.Context(_main.group), name)
    assert command
    given = [one for one in arguments if one != "--help"]
    command.make_context(name, given)
    return name


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the examples assume."""
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    for name in FILES:
        Path(name).touch()


def test_the_yaml_parses_and_its_commands_are_accepted(checkout: None) -> None:
    yaml = pytest.importorskip("yaml")
    github, gitlab = (yaml.safe_load(block) for block in blocks("yaml"))
    for document in (github, gitlab):
        ours = [line for line in scripts(document) if line.startswith(PROGRAM)]
        names = [parse(line) for line in ours]
        assert sorted(names) == ["bench", "bench", "import", "import", "import", "verify"]
        assert sum("--junit verify.xml" in line or "--junit gate.xml" in line for line in ours) == 2
    assert github[True] == "pull_request"  # YAML 1.1 takes the key `on` for true, as everybody's parser of workflows
    assert {
        step["uses"].partition("@")[0] for job in github["jobs"].values() for step in job["steps"] if "uses" in step
    }
    assert set(gitlab) == {"default", "variables", "parity", "speed"}
    reports = [gitlab[job]["artifacts"]["reports"]["junit"] for job in ("parity", "speed")]
    assert reports == ["verify.xml", "gate.xml"]
    assert all(gitlab[job]["artifacts"]["when"] == "always" for job in ("parity", "speed"))


def test_commands_in_the_text_are_accepted(checkout: None) -> None:
    commands = [
        found
        for document in ("ci.md", "pytest.md")
        for found in INLINE.findall((DOCS / document).read_text(encoding="utf-8"))
        if " --" in found.partition(f"{PROGRAM} ")[2]
    ]
    assert len(commands) >= 3
    for line in commands:
        parse(line)


@pytest.mark.parametrize("line", ["mnist-bench verify --junitxml a.xml", "mnist-bench bench --threads no"])
def test_a_command_that_does_not_exist_is_found_out(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(line)


def test_the_check_of_a_stamp_works_as_it_is_written(
    light: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    graph = (light / "model.onnx").read_bytes()
    stamped = onnx_stamp.stamped(graph, {"verdict": "passed"})
    Path("verified.onnx").write_bytes(stamped)
    exec(compile(code, "ci.md", "exec"), {})
    for forged in (stamped + graph, stamped.replace(b"fc1", b"fc9", 1)):
        Path("verified.onnx").write_bytes(forged)
        with pytest.raises(AssertionError):
            exec(compile(code, "ci.md", "exec"), {})


def test_the_example_of_a_marked_test_collects(pytester: pytest.Pytester) -> None:
    (code,) = blocks("python", "pytest.md")
    pytester.makepyfile(code)
    found = pytester.runpytest_subprocess("--collect-only", "-q", "-W", "error", "--strict-markers", timeout=100)
    assert found.ret == 0
    assert sum("::test_" in line for line in found.outlines) == 2
