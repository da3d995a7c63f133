"""MkDocs hooks: pages link to files of the repository as GitHub wants it, and the site has copies of these files."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

LINK = re.compile(r"\]\((?![a-z]+:|#|/)([^)\s#]+)(#[^)\s]*)?\)")
FENCED = re.compile(r"(^```.*?^```$|`[^`\n]*`)", re.DOTALL | re.MULTILINE)
PLACE = "repository"
"""Where files from outside docs/ stand in the site."""
README, RENAMED = "README.md", "README-page.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages link to outside docs/, and what these link to in turn."""
    root = Path(config.docs_dir).parent
    todo = [one.src_uri for one in files.documentation_pages()]
    while todo:
        source = _in_repository(todo.pop())
        for target, _ in LINK.findall(_prose((root / source).read_text(encoding="utf-8"))):
            found = _in_site(_target(root, source, target))
            if files.get_file_from_path(found) is None:
                if not found.startswith(PLACE):
                    continue  # within docs/: MkDocs itself says that it is not there
                files.append(File.generated(config, found, abs_src_path=str(root / _in_repository(found))))
                todo += [found] if found.endswith(".md") else []
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 MkDocs' names
    """Let links of a page lead to where the site has what they name."""
    here, root = page.file.src_uri, Path(config.docs_dir).parent

    def moved(link: re.Match[str]) -> str:
        found = _in_site(_target(root, _in_repository(here), link[1]))
        return f"]({posixpath.relpath(found, posixpath.dirname(here) or '.')}{link[2] or ''})"

    parts = FENCED.split(markdown)
    return "".join(part if place % 2 else LINK.sub(moved, part) for place, part in enumerate(parts))


def _prose(markdown: str) -> str:
    return FENCED.sub("", markdown)


def _target(root: Path, source: str, link: str) -> str:
    """Return what a link of a file of the repository names, as a path from the repository's root."""
    found = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    if found.startswith("..") or not (root / found).is_file():
        raise PluginError(f"{source} links to {link}, which is no file of the repository")
    return found


def _in_repository(uri: str) -> str:
    """Return where a file of the site stands in the repository."""
    if not uri.startswith(PLACE):
        return f"docs/{uri}"
    return uri.removeprefix(f"{PLACE}/").replace(RENAMED, README)


def _in_site(path: str) -> str:
    """Return where the site has a file of the repository; a README would be its folder's first page."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"{PLACE}/{path.replace(README, RENAMED)}"
