"""Look whether a built site loads anything from elsewhere: `python tests/site.py FOLDER`, after `mkdocs build`."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

ADDRESS = re.compile(r"^(https?:)?//", re.IGNORECASE)
IN_STYLE = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s;]+)", re.IGNORECASE)
LOADED_BY = {"src", "srcset", "data", "poster", "action"}
FOLLOWED = {"canonical", "next", "prev", "alternate", "license", "author"}
"""Kinds of `link` that name a page and load nothing."""


class Loads(HTMLParser):
    """Collects what a page loads from elsewhere: a link that is only followed when it is clicked does not count."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        names = LOADED_BY | ({"href"} if self._is_loaded(tag, given) else set())
        self.found += [given[name] for name in sorted(names & set(given)) if ADDRESS.match(given[name].strip())]
        self.found += IN_STYLE.findall(given.get("style", ""))

    @staticmethod
    def _is_loaded(tag: str, given: dict[str, str]) -> bool:
        if tag == "link":
            return not set(given.get("rel", "").lower().split()) <= FOLLOWED
        return tag in {"image", "use", "base"}

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "style":
            self.found += IN_STYLE.findall(data)


def loads(text: str, suffix: str) -> list[str]:
    """Return the addresses elsewhere that an HTML, SVG or CSS file loads."""
    if suffix == ".css":
        return IN_STYLE.findall(text)
    parser = Loads()
    parser.feed(text)
    return [*parser.found, *(IN_STYLE.findall(text) if suffix == ".svg" else [])]


def main(folder: Path) -> int:
    """Return 1 where a file of the site loads something from elsewhere, or where there is no site."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in {".html", ".svg", ".css"}]
    bad = {path: found for path in files if (found := loads(path.read_text(encoding="utf-8"), path.suffix))}
    for path, found in bad.items():
        sys.stdout.write(f"{path} loads {', '.join(found)}\n")
    sys.stdout.write(f"{len(files)} files, {len(bad)} of which load from elsewhere\n")
    return int(bool(bad) or not any(path.suffix == ".html" for path in files))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
