"""SVG of a panel, drawn at build time, so that the page needs no chart library, no eval and no network."""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from urllib.parse import parse_qsl

from markupsafe import Markup

from dsl.messages import one_line
from warehouse.charts.theme import Panel

SVG = "http://www.w3.org/2000/svg"
_DRAWING = {
    "svg",
    "g",
    "path",
    "line",
    "rect",
    "text",
    "tspan",
    "defs",
    "clipPath",
    "circle",
    "title",
    "desc",
}
"""The elements a chart is made of. Anything else is left out of the page."""

ANSWERS = "#answers?"
"""Beginning of a link to answers of the page, the only ones that a picture has."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A panel, drawn."""

    title: str
    svg: Markup


def picture(panel: Panel, name: str, description: str) -> Picture:
    """The panel as an inline `<svg>` with a title and a description for screen readers.

    `name` is unique in the page: ids inside the picture begin with it, because the ids of all pictures of a
    page are one space.
    """
    import vl_convert

    root = ElementTree.fromstring(vl_convert.vegalite_to_svg(panel.spec))
    keep_drawing(root, name)
    for tag, text in (("desc", description), ("title", panel.title)):
        element = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{name}-{tag}"})
        element.text = one_line(text)
        root.insert(0, element)
    # what an image holds cannot be reached by itself, as links are
    root.set("role", "img" if root.find(f".//{{{SVG}}}a") is None else "group")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    ElementTree.register_namespace("", SVG)
    return Picture(panel.title, Markup(ElementTree.tostring(root, encoding="unicode")))


def keep_drawing(element: ElementTree.Element, name: str) -> None:
    """Remove all that is not drawing: other elements, handlers, links but those to answers of the page, style
    attributes.

    The page's content security policy forbids them.
    """
    for key, value in list(element.attrib.items()):
        plain = key.rpartition("}")[2]
        if plain.startswith(("on", "aria", "style", "href", "role", "pointer", "class")):
            del element.attrib[key]
        elif plain == "id":
            element.set(key, f"{name}-{value}")
        elif value.startswith("url("):
            element.set(key, value.replace("url(#", f"url(#{name}-"))
    for child in list(element):
        tag, link = child.tag.rpartition("}")[2], _to_answers(child)
        if tag in _DRAWING or (tag == "a" and link):
            keep_drawing(child, name)
        else:
            element.remove(child)
        if tag == "a" and link:
            child.attrib.clear()
            child.set("href", link)
            child.set("aria-label", f"Answers: {', '.join(value for _, value in parse_qsl(link))}")


def _to_answers(element: ElementTree.Element) -> str:
    """Return where a link leads to in the page, whatever address stands before it; empty if it leads
    elsewhere."""
    address = next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == "href"), "")
    _, is_found, parts = address.partition(ANSWERS)
    return is_found + parts
