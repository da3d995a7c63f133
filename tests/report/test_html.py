"""Tables, pictures and sentences as a piece of HTML: escaped, self-contained, and nothing is lost."""

from html.parser import HTMLParser

import matplotlib as mpl
from matplotlib.figure import Figure

from mnist_bench.core.kinds import Skipped
from mnist_bench.report import Answer, Block, Cell, Column, Quantity, Table, Unit, Verdict, fragment, render
from mnist_bench.report.figures._style import Picture

HOSTILE = "<script>alert('&\x1b[31m')</script>"
VOID = {"br", "img"}


class Checked(HTMLParser):
    """Parses HTML; keeps its words and tags, and fails where an element is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, words: str) -> None:
        if words.strip():
            self.words.append(words)


def count(checked: Checked, tag: str) -> int:
    return sum(name == tag for name, _ in checked.tags)


def test_a_table_is_escaped_and_whole() -> None:
    rows: list[list[Cell]] = [[HOSTILE, 0.5], ["second", None], ["third", 0.25]]
    table = Table(HOSTILE, [Column(HOSTILE), Column("Share", Unit.SHARE)], rows, notes=[HOSTILE], preview=1)
    found = Checked(render("html", [table]))
    assert "script" not in {tag for tag, _ in found.tags}
    assert found.words.count("<script>alert('&\ufffd[31m')</script>") == 5  # title, two heads, cell and note
    assert {"50.00%", "–", "25.00%", "2 more rows"} <= set(found.words)
    assert count(found, "tr") == 2 + 3  # heads of what is shown and of what is folded


def test_columns_of_numbers_are_flush_right() -> None:
    table = Table("t", [Column("Fact"), Column("One")], [["a", Quantity(3, Unit.COUNT)], ["b", "words"]])
    styles = [found["style"] or "" for tag, found in Checked(render("html", [table])).tags if tag in ("th", "td")]
    assert [style.rpartition(" ")[2] for style in styles] == ["left", "right"] * 3


def test_a_fragment_of_everything() -> None:
    picture = Picture("run", "stem", Figure(), f'says "{HOSTILE}"')
    blocks: list[Block] = [
        Verdict("failed", HOSTILE),
        Table("t", [Column("Fact")], [["a"]]),
        picture,
        picture,
        Answer(HOSTILE, [HOSTILE, "two"], "errors"),
        Skipped("target", HOSTILE, "remedy"),
    ]
    found = Checked(fragment(blocks))
    assert "script" not in {tag for tag, _ in found.tags}
    assert {"FAILED", "two"} <= set(found.words)
    images = [attributes for tag, attributes in found.tags if tag == "img"]
    assert [image["alt"] for image in images] == ["says \"<script>alert('&\ufffd[31m')</script>\""] * 2
    assert all((image["src"] or "").startswith("data:image/svg+xml;base64,") for image in images)
    assert mpl.rcParams["svg.fonttype"] == "path"  # what is drawn leaves no settings behind
