"""The start page: progress of the store, answers of one study, a box for SQL."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from warehouse.report.browser import as_script
from warehouse.report.page import SCRIPTS, STYLES, code, policy, templates

HERE = Path(__file__).parent


def view_page(
    store: Path,
    experiment: str,
    questions: Mapping[str, str],
    facets: Mapping[str, Sequence[str]],
    faults: Mapping[str, str],
) -> str:
    """Return the page of a study, or of a store that holds none yet: then its name is empty.

    `questions` are those of all studies, by name. The study's `facets` are empty where no warehouse has it;
    then there are no answers to browse.
    """
    has_answers = bool(facets.get("method"))
    style = code(*STYLES) + (HERE / "view.css").read_text("utf-8")
    script = (code(*SCRIPTS) if has_answers else "") + (HERE / "view.js").read_text("utf-8")
    data = {
        "served": f"/studies/{quote(experiment)}",
        "facets": dict(facets),
        "faults": dict(faults),
        "experiment": experiment,
    }
    return (
        templates(HERE)
        .get_template("view.html.j2")
        .render(
            store=store,
            experiment=experiment,
            questions=questions,
            has_answers=has_answers,
            policy=policy(script, style, is_served=True),
            style=Markup(style),
            script=Markup(script),
            data=as_script(data),
            answers={"is_served": True},
        )
    )
