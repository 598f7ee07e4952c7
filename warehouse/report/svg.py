"""SVG of a panel, drawn at build time, so that the page needs no chart library, no eval and no network."""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

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
    _keep_drawing(root, name)
    for tag, text in (("desc", description), ("title", panel.title)):
        element = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{name}-{tag}"})
        element.text = one_line(text)
        root.insert(0, element)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    ElementTree.register_namespace("", SVG)
    return Picture(panel.title, Markup(ElementTree.tostring(root, encoding="unicode")))


def _keep_drawing(element: ElementTree.Element, name: str) -> None:
    """Remove all that is not drawing: other elements, handlers, links, style attributes.

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
        if child.tag.rpartition("}")[2] in _DRAWING:
            _keep_drawing(child, name)
        else:
            element.remove(child)
