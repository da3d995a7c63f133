"""The documentation is true where a program can tell: links, pictures, commands, and what the site would load."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.site import loads, main

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md"), ROOT / "exports" / "README.md"])
LINK = re.compile(r"\]\((?![a-z]+:)([^)\s#]*)(?:#([^)\s]*))?\)")
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
MOST_WORDS, MOST_BYTES = 1_200, 250_000

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the tests stand without the documentation")


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the site make them."""
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken(path: Path, page: str) -> list[str]:
    """Return the links of a page that lead nowhere."""
    bad = []
    for target, anchor in LINK.findall(re.sub(r"`[^`\n]*`", "", FENCED.sub("", page))):
        found = (path.parent / target).resolve() if target else path
        there = found.is_file() and found.is_relative_to(ROOT)
        if not there or (anchor and anchor not in anchors(found.read_text(encoding="utf-8"))):
            bad.append(f"{target}#{anchor}")
    return bad


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    assert broken(path, path.read_text(encoding="utf-8")) == []


def test_a_broken_link_is_seen() -> None:
    page = (
        "[a](docs/index.md) [b](docs/nothing.md) [c](docs/certificate.md#nothing) [d](docs/certificate.md#derivation)"
    )
    assert broken(ROOT / "README.md", page) == ["docs/nothing.md#", "docs/certificate.md#nothing"]


def test_every_page_is_in_the_navigation_and_in_the_index() -> None:
    names = {path.name for path in DOCS.glob("*.md")}
    navigation = re.findall(r"[\w-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    linked = LINK.findall((DOCS / "index.md").read_text(encoding="utf-8"))
    assert sorted(navigation) == sorted(names)
    assert names - {target for target, _ in linked} == {"index.md"}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= MOST_WORDS


@pytest.mark.skipif(metadata.version("click") < "8.4", reason="older versions of click write some options otherwise")
def test_the_commands_are_those_of_help() -> None:
    written = (DOCS / "commands.md").read_text(encoding="utf-8")
    # In a process of its own: click remembers of a command how another test has called it.
    code = "import runpy, sys; sys.stdout.write(runpy.run_path(sys.argv[1])['page']())"
    words = [sys.executable, "-X", "utf8", "-c", code, str(DOCS / "commands.py")]
    said = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", check=True).stdout
    assert said == written, "run python docs/commands.py"


@pytest.mark.parametrize("path", sorted((DOCS / "images").glob("*")), ids=lambda path: path.name)
def test_pictures_are_small_load_nothing_and_are_in_the_readme_with_words(path: Path) -> None:
    assert path.stat().st_size <= MOST_BYTES
    assert path.suffix != ".svg" or loads(path.read_text(encoding="utf-8"), ".svg") == []
    (words,) = re.findall(rf"!\[([^]]+)\]\(docs/images/{path.name}\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(words.split()) > 5


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".html", '<script src="https://cdn.example/x.js"></script>'),
        (".html", '<link rel="stylesheet" href="//fonts.example/css">'),
        (".html", '<link rel="preconnect" href="https://fonts.example">'),
        (".html", '<img src="http://example.org/a.png">'),
        (".html", "<style>@import 'https://fonts.example/css';</style>"),
        (".html", '<p style="background: url(https://example.org/a.png)">'),
        (".svg", '<svg><style>@font-face { src: url("https://cdn.example/f.woff") }</style></svg>'),
        (".svg", '<svg><image href="https://example.org/a.png"/></svg>'),
        (".css", "@font-face { src: url(//fonts.example/f.woff2) }"),
    ],
)
def test_what_is_loaded_from_elsewhere_is_seen(suffix: str, text: str, tmp_path: Path) -> None:
    assert len(set(loads(text, suffix))) == 1
    (tmp_path / "index.html").write_text("<p>", encoding="utf-8")
    (tmp_path / f"bad{suffix}").write_text(text, encoding="utf-8")
    assert main(tmp_path) == 1


def test_a_site_that_loads_nothing_passes_and_an_empty_one_does_not(tmp_path: Path) -> None:
    assert main(tmp_path) == 1
    page = '<link rel="next" href="b.html"><a href="https://example.org">there</a><img src="a.png"><script src="a.js">'
    (tmp_path / "index.html").write_text(page, encoding="utf-8")
    assert main(tmp_path) == 0
