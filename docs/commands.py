"""Write docs/commands.md from `--help`: `python docs/commands.py`; a test tells when that is due."""

from pathlib import Path

from click.testing import CliRunner

from mnist_bench import cli
from mnist_bench.cli._main import group
from mnist_bench.core import plugins
from mnist_bench.core.kinds import PROGRAM

PAGE = Path(__file__).parent / "commands.md"
WIDTH = 110
HEAD = """# Commands

<!-- Written by `python docs/commands.py` from `--help`: do not edit. -->

What `mnist-bench COMMAND --help` says, for every command.
"""


def page() -> str:
    """Return the page."""
    sections = [_section(PROGRAM, ["--help"])]
    sections += [_section(f"{PROGRAM} {name}", [name, "--help"]) for name in plugins.names(cli)]
    return HEAD + "".join(sections)


def _section(title: str, arguments: list[str]) -> str:
    done = CliRunner().invoke(group, arguments, prog_name=PROGRAM, terminal_width=WIDTH, max_content_width=WIDTH)
    assert done.exit_code == 0, done.output
    return f"\n## {title}\n\n```text\n{done.output.rstrip()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
