"""Make the pictures of the README from a finished run: `python docs/pictures.py --run exports/mnist-relu`.

The terminal's is what `mnist-bench run` prints at its end: the command is run again, which skips all that is finished.
The page's is `report.html`, which that command has just written, as headless Chromium shows its first screen.
"""

import argparse
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from fcntl import ioctl
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from mnist_bench import store
from mnist_bench.core.types import Record

PICTURES = Path(__file__).parent / "images"
COLUMNS, ROWS = 80, 24
PAGE_SIZE = (1440, 900)
MOST_BYTES = 250_000
FINISHED = ("PASSED", "FAILED", "NOT KNOWN")
GREY, RED, GREEN, BROWN = (87, 96, 106), (207, 34, 46), (17, 99, 41), (125, 78, 0)
WHITE, BLACK, BLUE, PURPLE, TEAL = (255, 255, 255), (36, 41, 47), (9, 105, 218), (130, 80, 223), (27, 124, 131)
LIGHT = TerminalTheme(WHITE, BLACK, [BLACK, RED, GREEN, BROWN, BLUE, PURPLE, TEAL, GREY])
FROM_ELSEWHERE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""Rich's SVG loads a font from a server; the reader's own monospaced one does."""


def main() -> None:
    """Write both pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, type=Path, metavar="DIR", help="the folder of a finished run")
    folder = parser.parse_args().run.resolve()
    PICTURES.mkdir(exist_ok=True)
    record = store.load_record(folder)
    title = f"mnist-bench run · {record.environment.cpu_model}"
    (PICTURES / "terminal.svg").write_text(
        drawn(closing(printed(again(folder, record), folder.parent.parent)), title), encoding="utf-8"
    )
    photograph(folder / "report.html", PICTURES / "page.png")


def again(folder: Path, record: Record) -> list[str]:
    """Return the command that finishes a run once more."""
    asked = ["--run", record.name, "--out", folder.parent.name, "--dataset", record.config.dataset]
    asked += ["--activation", record.config.activation, "--epochs", str(record.config.epochs)]
    return [sys.executable, "-m", "mnist_bench", "run", "--quick", "--allow-busy", *asked]


def printed(command: Sequence[str], place: Path) -> str:
    """Run a command in a folder, in a terminal of 80 × 24; return what it wrote to stdout, with its colours."""
    reader, writer = pty.openpty()
    ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    surroundings = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}
    with subprocess.Popen(command, cwd=place, stdout=writer, stderr=subprocess.DEVNULL, env=surroundings) as process:
        os.close(writer)
        parts = []
        while part := _read(reader):
            parts.append(part)
    os.close(reader)
    if process.returncode not in {0, 1}:
        raise SystemExit(f"the run does not finish: it ended with {process.returncode}; try {' '.join(command)}")
    return b"".join(parts).decode().replace("\r\n", "\n")


def _read(reader: int) -> bytes:
    try:
        return os.read(reader, 65_536)
    except OSError:  # Linux' way to say that the other end is closed
        return b""


def closing(output: str) -> str:
    """Return what a run says at its end: all from the verdict on."""
    lines = output.rstrip().split("\n")
    first = next(place for place, line in enumerate(lines) if Text.from_ansi(line).plain.startswith(FINISHED))
    return "\n".join(lines[first:])


def drawn(output: str, title: str) -> str:
    """Return what a terminal shows as an SVG that loads nothing."""
    text = Text.from_ansi(output)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    console.print(text)
    return FROM_ELSEWHERE.sub("", console.export_svg(title=title, theme=LIGHT, unique_id="terminal"))


def photograph(page: Path, picture: Path) -> None:
    """Write the first screen of a page as PNG."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("the page needs Chromium: apt-get install chromium")
    size = ",".join(map(str, PAGE_SIZE))
    flags = ["--headless", "--disable-gpu", "--hide-scrollbars", f"--window-size={size}", *_unsandboxed()]
    subprocess.run([browser, *flags, f"--screenshot={picture}", page.as_uri()], check=True, stderr=subprocess.DEVNULL)
    if picture.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{picture} has {picture.stat().st_size:,} bytes, more than {MOST_BYTES:,}")


def _unsandboxed() -> list[str]:
    return ["--no-sandbox"] if os.geteuid() == 0 else []  # as root Chromium starts in no other way


if __name__ == "__main__":
    main()
