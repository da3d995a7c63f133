"""A matplotlib figure as SVG within a page: without a style of its own, so that the page's policy and colours hold."""

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from mnist_bench.report.figures._style import saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
FONT = re.compile(r"(?:(?P<weight>bold|\d{3}) )?(?P<size>[\d.]+)px")
REFERENCE = re.compile(r"url\(#([^)]+)\)")
FURNITURE = (f"{{{SVG}}}metadata", f"{{{SVG}}}style")


def inline_svg(figure: "Figure", key: str, caption_id: str) -> str:
    """Return a figure as an `<svg>` element.

    Args:
        figure: what to draw.
        key: goes before every id within, so that no two pictures of a page share one.
        caption_id: the element that says in words what there is to see.
    """
    root = ElementTree.fromstring(saved(figure, "svg", transparent=True))  # noqa: S314 our own
    used = _references(root)
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in FURNITURE]:
            parent.remove(child)
    for element in root.iter():
        _unstyle(element)
        _rename(element, key, used)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-labelledby": caption_id, "class": "plot"}
    ElementTree.register_namespace("", SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _references(root: ElementTree.Element) -> set[str]:
    """Return the ids that something within refers to."""
    found: set[str] = set()
    for element in root.iter():
        if target := element.attrib.get(f"{{{XLINK}}}href", ""):
            found.add(target.removeprefix("#"))
        for value in element.attrib.values():
            found.update(REFERENCE.findall(value))
    return found


def _unstyle(element: ElementTree.Element) -> None:
    """Turn a `style` attribute, which a strict policy forbids, into attributes of their own."""
    for entry in element.attrib.pop("style", "").split(";"):
        name, _, value = (part.strip() for part in entry.partition(":"))
        if name == "font" and (font := FONT.search(value)):
            element.set("font-size", font["size"])
            if font["weight"]:
                element.set("font-weight", font["weight"])
        elif name and name != "font-family":
            element.set(name, value.removesuffix("px") if name == "font-size" else value)


def _rename(element: ElementTree.Element, key: str, used: set[str]) -> None:
    """Keep only the ids that are used, under names of this picture's own."""
    own = element.attrib.pop("id", "")
    if own in used:
        element.set("id", f"{key}-{own}")
    target = element.attrib.pop(f"{{{XLINK}}}href", "")
    if target:
        element.set("href", f"#{key}-{target.removeprefix('#')}" if target.startswith("#") else target)
    for name, value in list(element.attrib.items()):
        if "url(#" in value:
            element.set(name, REFERENCE.sub(rf"url(#{key}-\1)", value))
