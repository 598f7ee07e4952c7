"""The report: one HTML file that answers the study's question and shows the numbers and the models' words behind it, with no network.

Pictures are drawn when the page is made, so the page's only script is the small one that leafs through the answers. It is named by its
hash in the page's security policy, and so is the style sheet: whatever a model wrote, nothing else runs, loads or styles.
"""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from dsl.errors import WarehouseError
from warehouse.report import answer
from warehouse.report.browser import as_script, pack
from warehouse.report.caveats import caveats
from warehouse.report.judging import judging
from warehouse.report.reproduction import reproduction
from warehouse.report.sections import sections
from warehouse.report.study import StudyRows, read_study

HERE = Path(__file__).parent


def write_report(warehouse: Path, experiment: str, out: Path) -> Path:
    """Write the page of one study to `out` and return it.

    Raises:
        WarehouseError: the warehouse cannot be read or does not hold the experiment, or `out` cannot be written.
    """
    page = render(read_study(warehouse, experiment))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        aside = out.with_name(out.name + ".tmp")
        aside.write_text(page, "utf-8", newline="\n")
        aside.replace(out)
    except OSError as error:
        raise WarehouseError(f"{out}: {error.strerror or error}") from error
    return out


def render(study: StudyRows) -> str:
    """The page as text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["prose"] = _prose  # pyright: ignore[reportUnknownMemberType]
    style, script = (HERE / "page.css").read_text("utf-8"), (HERE / "page.js").read_text("utf-8")
    scores = study.of_interest(study.views["score_by_method_language"])
    contrasts = study.of_interest(study.views["contrast_by_language_and_size"])
    best = answer.best_methods(scores, study.order)
    by_size = answer.by_size(scores, study.order)
    checked = study.in_order(study.views["judge_against_checks"])
    packed = pack(study.completions, study.order)
    return environment.get_template("page.html.j2").render(
        study=study,
        policy=f"default-src 'none'; script-src {_hashed(script)}; style-src {_hashed(style)}; base-uri 'none'; form-action 'none'",
        style=Markup(style),
        script=Markup(script),
        differences=by_size or answer.differences(contrasts, study.order, study.judge_models()),
        leaders=None if by_size else answer.leaders(best, len(study.order.methods)),
        best=_matrix(best),
        several_datasets=len({b.dataset for b in best}) > 1,
        caveats=caveats(contrasts, scores, study.views["unscored_by_judge"], judging(study.judge_models(), checked, study.order)),
        methods=_methods(study),
        sections=sections(study),
        data=as_script(packed),
        n_shown=packed["n_answers"],
        reproduction=reproduction(study),
    )


def _matrix(best: list[answer.Best]) -> list[tuple[tuple[str, str], dict[str, answer.Best]]]:
    """((data set, measure), language -> who is best), as the rows of a table."""
    rows: dict[tuple[str, str], dict[str, answer.Best]] = {}
    for b in best:
        rows.setdefault((b.dataset, b.measure), {})[b.language] = b
    return list(rows.items())


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
            "colour": study.order.colour(method),
            "path": _PATHS[study.order.shape(method)],
        }
        for method in study.order.methods
    ]


def _prose(text: str) -> Markup:
    """A sentence with `code` in it, as HTML. What stands between the marks is escaped like everything else."""
    whole = re.sub(r"(?<=[\d%]) (?=\[)|(?<=[\d%],) (?=[−\d])|(?<=\bn) (?== )|(?<=\bn =) (?=\d)", "\N{NO-BREAK SPACE}", text)
    return Markup(re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(whole))))


def _hashed(text: str) -> str:
    """How a content security policy names an inline script or style."""
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
