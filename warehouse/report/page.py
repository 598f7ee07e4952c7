"""The report as one HTML page that needs no network.

Pictures are drawn when the page is made, so the page's only script is the small one that leafs through the
answers. It is named by its hash in the page's security policy, and so is the style sheet: whatever a model
wrote, nothing else runs, loads or styles.
"""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from warehouse.report.browser import as_script, in_reading_order, pack, sample
from warehouse.report.figures import Figure, Section
from warehouse.report.overview import overview
from warehouse.report.prose import whole
from warehouse.report.reproduction import reproduction
from warehouse.report.sections import questions
from warehouse.report.study import StudyRows
from warehouse.report.summary import summary
from warehouse.report.svg import Picture, picture
from warehouse.report.wording import language_name

HERE = Path(__file__).parent

MOST_PICTURE_BYTES = 2_500_000
"""On a page, and `MOST_PANELS` of one figure: a study of many models has thousands of panels, which take
minutes. The tables have the numbers."""

MOST_PANELS = 12

MOST_GRIDS = 2
"""On the first screen, and `MOST_FINDINGS`; the others unfold."""

MOST_FINDINGS = 6

STYLES = ("page.css", "answers.css")

SCRIPTS = ("diff.js", "sources.js", "page.js")
"""Scripts of the answers, each before those that use it."""


def as_html(study: StudyRows, served: str = "") -> str:
    """The page as text.

    Its answers are in it, or are asked for at the path `served` of the server that it comes from.
    """
    environment = templates(HERE)
    filters: dict[str, Any] = environment.filters  # pyright: ignore[reportUnknownMemberType]
    filters |= {
        "prose": _prose,
        "finding": _finding,
        "pictures": _Drawing().pictures,
        "seen": _seen,
        "language": language_name,
    }
    style, script = code(*STYLES), code(*SCRIPTS)
    said = summary(study)
    shown = sample(study.completions)
    source = {"served": served} if served else pack(in_reading_order(shown, study.order), study.order)
    return environment.get_template("page.html.j2").render(
        study=study,
        policy=policy(script, style, is_served=bool(served)),
        style=Markup(style),
        script=Markup(script),
        summary=said,
        overview=overview(study),
        MOST_GRIDS=MOST_GRIDS,
        MOST_FINDINGS=MOST_FINDINGS,
        methods={method["name"]: method for method in _methods(study)},
        questions=questions(study),
        data=as_script({"facets": study.facets, "faults": study.faults, **source}),
        answers={
            "is_served": bool(served),
            "n": study.n_completions,
            "n_shown": len(shown),
            "experiment": study.experiment["experiment"],
        },
        reproduction=reproduction(study),
    )


def templates(folder: Path) -> jinja2.Environment:
    """Return the templates of a folder and those of the report: every value in them is escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader((folder, HERE)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def code(*files: str) -> str:
    """Return the report's scripts or style sheets of these names as one."""
    return "".join((HERE / file).read_text("utf-8") for file in files)


def policy(script: str, style: str, is_served: bool) -> str:
    """Return the content security policy of a page with one script and one style sheet.

    A served page may ask the server that it comes from.
    """
    connect = "connect-src 'self'; " if is_served else ""
    return (
        f"default-src 'none'; script-src {_hashed(script)}; style-src {_hashed(style)}; {connect}base-uri"
        " 'none'; form-action 'none'"
    )


def _methods(study: StudyRows) -> list[dict[str, Any]]:
    """Each method with what it is and how it is drawn."""
    kinds = {cell["method"]: cell["method_kind"] for cell in study.cells}
    tuned: dict[str, dict[str, None]] = {}
    for cell in study.cells:
        tuned.setdefault(cell["method"], {})[cell["train_languages"]] = None
    return [
        {
            "name": method,
            "kind": kinds[method],
            "tuned": ", ".join(languages for languages in tuned[method] if languages),
            "gloss": study.words.glosses.get(method, ""),
            "colour": study.order.colour(method),
            "path": _PATHS[study.order.shape(method)],
        }
        for method in study.order.methods
    ]


def _seen(section: Section) -> tuple[list[Figure], list[Figure]]:
    """(the figures of a section that are seen, those that unfold); so does all that there is `more`."""
    first = {figure.view: figure for figure in reversed(section.figures)}
    main = {figure.view for figure in section.figures if figure.is_main}
    seen = [
        figure
        for figure in section.figures
        if figure.is_main or (figure.view not in main and figure is first[figure.view])
    ]
    return seen, [figure for figure in section.figures if figure not in seen]


class _Drawing:
    """Draws the figures of one page in the order in which they are read, until there are enough pictures."""

    def __init__(self) -> None:
        self._left = MOST_PICTURE_BYTES

    def pictures(self, figure: Figure) -> tuple[list[Picture], str]:
        """(the figure's pictures, what is to be said of those that are not there)."""
        if figure.draw is None:
            return [], ""
        if self._left <= 0:
            return [], "Not drawn: the page has as many pictures as it can hold."
        described = f"{figure.caption} {figure.legend} The numbers are in the table below."
        panels = figure.draw()
        drawn = [
            picture(panel, f"{figure.anchor}-{number}", described)
            for number, panel in enumerate(panels[:MOST_PANELS])
        ]
        self._left -= sum(len(one.svg) for one in drawn)
        return drawn, (
            ""
            if len(drawn) == len(panels)
            else f"The first {len(drawn)} panels; the table has the numbers of all."
        )


def _prose(text: str) -> Markup:
    """Return a sentence with `code` in it as HTML, escaped within and without the backticks."""
    return Markup(re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(whole(text)))))


def _finding(text: str) -> Markup:
    """Return a finding whose beginning, up to its colon, says what it is of."""
    head, colon, rest = text.partition(": ")
    return Markup("<b>{}{}</b>{}").format(_prose(head), colon, _prose(rest))


def _hashed(text: str) -> str:
    """Return the source by which a content security policy names an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_PATHS = {
    "circle": "M2 8a6 6 0 1 0 12 0a6 6 0 1 0 -12 0Z",
    "square": "M3 3h10v10h-10Z",
    "triangle-up": "M8 2l7 12h-14Z",
    "diamond": "M8 1l6 7l-6 7l-6 -7Z",
    "triangle-down": "M8 14l7 -12h-14Z",
    "cross": "M6 1h4v5h5v4h-5v5h-4v-5h-5v-4h5Z",
    "triangle-right": "M14 8l-12 7v-14Z",
    "triangle-left": "M2 8l12 7v-14Z",
}
"""The shapes of the charts on a field of 16 × 16."""
