"""The report's charts as vector graphics in files of their own, SVG and PDF, for a paper or a talk."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dsl.data.written_files import written_aside
from dsl.messages import one_line
from warehouse.charts.theme import Panel
from warehouse.report.sections import sections
from warehouse.report.study import StudyRows

INK = "#000000"

_LINK = re.compile(r"</?a\b[^>]*>")
"""Tags of a link from a point to its answers, which are in the page."""


def write_pictures(study: StudyRows, folder: Path) -> list[Path]:
    """Write every chart as `<name>.svg` and `<name>.pdf` and return the files.

    Names come from the view, the measure and the panel.

    Raises:
        OSError: a file cannot be written.
    """
    import vl_convert

    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name, panel in _named(study):
        svg, pdf = folder / f"{name}.svg", folder / f"{name}.pdf"
        drawn = as_svg(panel)
        with written_aside(svg) as aside:
            aside.write_text(drawn, "utf-8", newline="\n")
        with written_aside(pdf) as aside:
            aside.write_bytes(vl_convert.svg_to_pdf(drawn))
        written += [svg, pdf]
    return written


def as_svg(panel: Panel, padding: Any = 8) -> str:
    """Return a panel as the text of an SVG file, with its title and Vega-Lite's `padding` around it."""
    import vl_convert

    # "currentColor" is for a page whose colours a picture takes on; alone, readers differ in what they make
    # of it.
    drawn = vl_convert.vegalite_to_svg(_alone(panel, padding))
    return _LINK.sub("", drawn).replace("currentColor", INK)


def _named(study: StudyRows) -> Iterator[tuple[str, Panel]]:
    """(file name without its ending, panel); no two names are the same, on a disk that ignores case too."""
    taken: set[str] = set()
    for section in sections(study):
        for figure in (*section.figures, *section.more):
            for panel in figure.draw() if figure.draw else ():
                stem = "-".join(filter(None, map(_plain, (figure.view, figure.heading, panel.title))))
                name, number = stem, 1
                while name.lower() in taken:
                    number += 1
                    name = f"{stem}-{number}"
                taken.add(name.lower())
                yield name, panel


def _plain(text: str) -> str:
    """The letters and digits of a text that every file system takes, at most 60 of them."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-.")[:60].rstrip("-.")


def _alone(panel: Panel, padding: Any) -> dict[str, Any]:
    """The panel with its title on it and paper under it."""
    title = {"text": one_line(panel.title), "anchor": "start", "fontSize": 13}
    return {
        **panel.spec,
        "title": title,
        "config": {**panel.spec["config"], "background": "#ffffff", "padding": padding},
    }
